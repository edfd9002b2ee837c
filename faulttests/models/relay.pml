/* Relays on one outbox in the mode "ordered": the lead, row locks, claims ahead, and a database that ends
   transactions whenever it likes, as it does to a relay that is frozen.

   A batch is one row here. Rows become visible in any order, as transactions commit late. To be shown:
   what is deleted has arrived; a row that was visible when one with a higher id was claimed has arrived
   before that one arrives for the first time; and nothing arrives twice without a fault.

   PLANT_NOLOCKS: what is ahead is read without locking it, and published without the lead.
   PLANT_EARLY: a batch is settled before the broker has accepted it. */
#define ROWS 2
#define NONE 7
#define BIT(i) (1 << (i))

byte holder[ROWS] = NONE; /* the transaction that has locked the row */
bool there[ROWS];         /* committed by its producer, and not deleted */
bool made[ROWS];          /* committed by its producer at some time */
bool arrived[ROWS];       /* in the broker's queue */
byte lead = NONE;         /* the transaction that has the lead */
bool open[4];             /* relay r has the transactions 2r and 2r+1 */
bool crashed = false;
bool faulty = false;      /* a crash, or a transaction that the database has ended */

/* The rows that a statement sees. */
inline look(known) {
	known = (there[0] -> 1 : 0) | (there[1] -> 2 : 0)
}

/* The end of a transaction frees what it has locked, and the lead. */
inline finish(t) {
	d_step {
		open[t] = false;
		if :: holder[0] == t -> holder[0] = NONE :: else fi;
		if :: holder[1] == t -> holder[1] = NONE :: else fi;
		if :: lead == t -> lead = NONE :: else fi
	}
}

/* Lock the first row that was seen, in the order of the table, but for the one in hand; wait for whoever has
   it. A row that is deleted meanwhile is passed over. */
inline lockFirst(t, known, found, not) {
	found = NONE; i = 0;
	do
	:: i == ROWS -> break
	:: i < ROWS && (!(known & BIT(i)) || i == not) -> i++
	:: i < ROWS && (known & BIT(i)) && i != not ->
		atomic {
			(holder[i] == NONE || !open[t]);
			if
			:: !open[t] -> break
			:: open[t] && !there[i] -> i++
			:: open[t] && there[i] -> holder[i] = t; found = i; break
			fi
		}
	od;
	i = 0
}

/* The broker takes a message. */
inline accept(n, known) {
	d_step {
		do
		:: i < n -> assert(arrived[n] || arrived[i] || !(known & BIT(i))); i++
		:: else -> break
		od;
		i = 0;
		assert(!arrived[n] || faulty);
		arrived[n] = true
	}
}

inline delete(n) { assert(arrived[n]); there[n] = false }

/* A crash: the database ends what was open, and what the relay knew is gone. */
inline crash() {
	crashed = true; faulty = true; finish(cur); finish(next);
	d_step { ahead = false; row = NONE; saw = 0; after = NONE; afterSaw = 0 }
}

proctype relay(byte r) {
	byte i, cur = 2 * r, next = 2 * r + 1, undeleted = NONE;
	byte row = NONE, saw, after = NONE, afterSaw; /* in hand, and ahead */
	bool ahead = false;
	do
	:: undeleted != NONE -> /* first delete what the broker has and the database could not settle */
		atomic { (holder[undeleted] == NONE) -> delete(undeleted); undeleted = NONE }
	:: undeleted == NONE ->
		/* claim: what was claimed ahead, if this relay gets the lead for it, or anew */
		if
		:: ahead ->
			d_step { ahead = false; i = cur; cur = next; next = i; i = 0; row = after; saw = afterSaw; after = NONE; afterSaw = 0 };
#ifndef PLANT_NOLOCKS
			atomic {
				if
				:: open[cur] && lead == NONE -> lead = cur
				:: else -> finish(cur); row = NONE; saw = 0; goto again
				fi
			}
#endif
		:: !ahead ->
			atomic {
				if
				:: lead == NONE -> lead = cur; open[cur] = true; look(saw)
				:: else -> goto again
				fi
			};
			lockFirst(cur, saw, row, NONE);
			if :: row == NONE -> finish(cur); saw = 0; goto again :: else fi
		fi;
		/* while it is with the broker, the next one is claimed or not */
		if
		:: skip
		:: atomic { open[next] = true; look(afterSaw) };
			lockFirst(next, afterSaw, after, row);
#ifdef PLANT_NOLOCKS
			finish(next);
#endif
			if :: after == NONE -> finish(next); afterSaw = 0 :: else -> ahead = true fi
		fi;
#ifdef PLANT_EARLY
		if :: open[cur] -> delete(row); finish(cur) :: else -> skip fi;
#endif
		if
		:: accept(row, saw)
		:: !crashed -> crash(); goto again
		fi;
		if
		:: skip
		:: !crashed -> crash(); goto again
		fi;
		atomic {
			if
			:: open[cur] -> delete(row); finish(cur)
			:: else -> undeleted = row; /* its transaction has ended; nothing that is ahead is used then */
				if :: ahead -> ahead = false; finish(next); after = NONE; afterSaw = 0 :: else fi
			fi;
			row = NONE; saw = 0
		};
again:		skip
	od
}

/* The database ends transactions that are silent for too long. */
proctype patience() {
	if
	:: open[0] -> faulty = true; finish(0)
	:: open[1] -> faulty = true; finish(1)
	:: open[2] -> faulty = true; finish(2)
	:: open[3] -> faulty = true; finish(3)
	fi
}

proctype producers() {
	do
	:: !made[0] -> atomic { made[0] = true; there[0] = true }
	:: !made[1] -> atomic { made[1] = true; there[1] = true }
	od
}

init { atomic { run producers(); run relay(0); run relay(1); run patience(); run patience() } }
