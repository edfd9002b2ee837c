/* One failing message and the two processes of a consumer with a failure store. The message has no identity, so no
   inbox helps: the deletion of the row in the handler's transaction has to make its effect happen once. A death between
   Keep and the ack is left out: it makes a second row of a message without an identity, as documented. To be
   shown: the effect happens once, and in the end it has happened.

   PLANT_NOFENCE: the handler's transaction does not look whether it has deleted the row.
   PLANT_LATEDONE: the row is deleted in a transaction of its own, after the handler's.
   PLANT_EARLYACK: the delivery is acknowledged before the row is committed.
   PLANT_TAKEN: a claim takes the row out of the table in place of a lease. */
#define READY 1      /* in its queue */
#define DELIVERED 2  /* not acknowledged */
#define NOBODY 7

byte broker = READY; /* 0: acknowledged */
bool row = false;    /* committed */
byte claim = 0;      /* its number */
bool leased = false;
byte writer = NOBODY; /* whose open transaction has deleted the row */
byte effects = 0;    /* committed */
byte faults = 0;     /* deaths, and leases that run out under a process that is only slow */

inline comeBack() { if :: broker == DELIVERED -> broker = READY :: else fi }

active [2] proctype consumer() {
	byte mine;
	do
	:: atomic { broker == READY -> broker = DELIVERED }; /* its first attempt fails */
#ifdef PLANT_EARLYACK
		broker = 0;
#endif
		if
		:: row = true
		:: atomic { faults < 3 -> faults++; comeBack(); goto next }
		fi;
		broker = 0
	:: atomic { row && !leased && writer == NOBODY -> leased = true; claim++; mine = claim };
#ifdef PLANT_TAKEN
		row = false;
#endif
		if
		:: skip
		:: atomic { faults < 3 -> faults++; leased = false; goto next } /* dies: time ends the lease */
		fi;
#ifdef PLANT_TAKEN
		effects++;
		goto next;
#endif
		/* The first statement of the handler's transaction waits for another one that has deleted the row. */
		atomic {
			(writer == NOBODY);
			if
			:: row && claim == mine -> writer = _pid
#ifdef PLANT_NOFENCE
			:: else -> skip
#else
			:: else -> goto next /* the claim is lost: roll back */
#endif
			fi
		};
		if
#ifdef PLANT_LATEDONE
		:: atomic { effects++; writer = NOBODY }; /* commit */
			if
			:: atomic { if :: claim == mine -> row = false; leased = false :: else fi }
			:: atomic { faults < 3 -> faults++; leased = false }
			fi
#else
		:: atomic { effects++; if :: writer == _pid -> writer = NOBODY; row = false; leased = false :: else fi } /* commit */
#endif
		:: atomic { faults < 3 -> faults++; if :: writer == _pid -> writer = NOBODY; leased = false :: else fi }
		fi;
next:		skip
	:: atomic { row && leased && faults < 3 -> faults++; leased = false } /* frozen for longer than its lease */
	:: broker == 0 && !row && writer == NOBODY -> break
	od;
	assert(effects == 1)
}
