/* Consumers with an inbox, and a broker that delivers a message more than once: the publisher sent it twice, and
   what is not acknowledged comes again. To be shown: its effect happens once, and in the end it has happened.

   PLANT_CHECKFIRST: the identity is looked up first and recorded after the effect.
   PLANT_EARLYACK: the delivery is acknowledged before the transaction commits. */
#define NONE 7

byte copies = 2;     /* in the queue */
byte inHand = 0;     /* delivered, not acknowledged */
byte writer = NONE;  /* whose transaction has recorded the identity, and is open */
bool known = false;  /* the identity, committed */
byte effects = 0;    /* committed */
byte faults = 0;     /* crashes and handlers that fail */

inline comeBack() { atomic { inHand--; copies++ } }

inline fail() {
	atomic {
		faults++;
		if :: writer == _pid -> writer = NONE :: else fi
	}
}

active [2] proctype consumer() {
	bool acked;
	do
	:: atomic { copies > 0 -> copies--; inHand++; acked = false };
#ifdef PLANT_CHECKFIRST
		if
		:: known -> goto done
		:: !known -> skip
		fi;
#else
		/* Recording waits for another transaction that has recorded it and is open. */
		atomic {
			(writer == NONE);
			if
			:: known -> goto done
			:: !known -> writer = _pid
			fi
		};
#endif
#ifdef PLANT_EARLYACK
		atomic { inHand--; acked = true };
#endif
		if /* the handler */
		:: skip
		:: faults < 2 -> fail();
			if :: !acked -> comeBack() :: acked -> skip fi;
			goto next
		fi;
		atomic { effects++; known = true; if :: writer == _pid -> writer = NONE :: else fi }; /* commit */
		if
		:: skip
		:: faults < 2 -> fail();
			if :: !acked -> comeBack() :: acked -> skip fi;
			goto next
		fi;
done:		if :: !acked -> atomic { inHand--; acked = true } :: acked -> skip fi;
next:		skip
	:: copies == 0 && inHand == 0 -> break
	od;
	assert(effects == 1)
}
