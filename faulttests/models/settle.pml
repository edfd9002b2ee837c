/* Acknowledgements and sessions: delivery tags begin anew with each session, and handlers outlive sessions. To be
   shown: the broker forgets a message only after a handler of that message has returned.

   PLANT_NOSESSION: a handler acknowledges its tag on whatever session there is. */
#define MESSAGES 3
#define NONE 7

bool queued[MESSAGES] = true;
bool gone[MESSAGES];
bool handled[MESSAGES];
byte tagged[MESSAGES + 1] = NONE; /* the message with this tag, in the present session; tags begin with 1 */
byte last = 0;                    /* tag of the present session */
byte session = 0;

active [2] proctype worker() {
	byte m, tag, born;
	do
	:: atomic {
			last < MESSAGES && (queued[0] || queued[1] || queued[2]) ->
			if
			:: queued[0] -> m = 0
			:: !queued[0] && queued[1] -> m = 1
			:: !queued[0] && !queued[1] -> m = 2
			fi;
			queued[m] = false; last++; tag = last; tagged[tag] = m; born = session
		};
		handled[m] = true; /* the handler has returned */
		atomic {
			if
#ifndef PLANT_NOSESSION
			:: born != session -> skip /* stale: nothing is sent */
			:: born == session && tagged[tag] != NONE ->
#else
			:: tagged[tag] != NONE ->
#endif
				assert(handled[tagged[tag]]); gone[tagged[tag]] = true; tagged[tag] = NONE
			:: else -> skip /* an unknown tag */
			fi;
			m = 0; tag = 0; born = 0
		}
	:: gone[0] && gone[1] && gone[2] -> break
	od
}

/* The connection is lost: what was not acknowledged is in the queue again. */
active proctype network() {
	byte t;
	do
	:: session < 2 ->
		d_step {
			session++; t = 1;
			do
			:: t <= MESSAGES -> if :: tagged[t] != NONE -> queued[tagged[t]] = true; tagged[t] = NONE :: else fi; t++
			:: else -> break
			od;
			t = 0; last = 0
		}
	:: break
	od
}
