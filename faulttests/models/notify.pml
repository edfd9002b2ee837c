/* A relay that sleeps, publishers that notify only while its flag is raised, and a relay that dies at any point. A publisher gets
   its transaction number, tests the flag and commits, or rolls back. The relay raises the flag, takes a snapshot of the open
   transactions, and looks until all of them have ended, each test before a look. To be shown: when nothing happens any
   more, the relay has seen every committed record, although it polls never.

   PLANT_SNAPSHOTFIRST: the snapshot is taken before the flag is raised.
   PLANT_LOOKFIRST: the last look is taken before the snapshot is tested.
   PLANT_ONESNAPSHOT: flag, snapshot and look are one transaction, which sees the state before the flag.
   PLANT_NOSNAPSHOT: the relay sleeps after one look. */
#define N 2

bool flag = false;
bool listening = false;
bool noted = false;      /* a notification is on its way */
bool open[N], visible[N], seen[N];
byte ended = 0;
byte deaths = 0;
bool asleep = false;

inline look() {
	d_step { seen[0] = seen[0] || visible[0]; seen[1] = seen[1] || visible[1] }
}

inline die() { atomic { deaths < 2 -> deaths++; flag = false; listening = false; noted = false; goto restart } }

proctype publisher(byte me) {
	bool told;
	open[me] = true;
	told = flag;
	if
	:: d_step { visible[me] = true; open[me] = false; ended++; if :: told && listening -> noted = true :: else fi }
	:: d_step { open[me] = false; ended++ }
	fi
}

active proctype relay() {
	bool old0, old1, settled, before0, before1;
restart:
	listening = true;
awake:
	asleep = false;
	look();
#ifdef PLANT_SNAPSHOTFIRST
	d_step { old0 = open[0]; old1 = open[1] };
	if :: skip :: die() fi;
	flag = true;
#else
#ifdef PLANT_ONESNAPSHOT
	d_step { old0 = false; old1 = false; before0 = visible[0]; before1 = visible[1] };
	flag = true;
	d_step { seen[0] = seen[0] || before0; seen[1] = seen[1] || before1 };
	goto sleep;
#endif
	flag = true;
	if :: skip :: die() fi;
	d_step { old0 = open[0]; old1 = open[1] };
#endif
#ifdef PLANT_NOSNAPSHOT
	look();
	goto sleep;
#endif
	do
	:: true ->
		if :: skip :: die() fi;
#ifdef PLANT_LOOKFIRST
		look();
		settled = !(old0 && open[0]) && !(old1 && open[1]);
#else
		settled = !(old0 && open[0]) && !(old1 && open[1]);
		look();
#endif
		if
		:: settled -> break
		:: noted -> break
		:: else -> skip
		fi
	od;
sleep:
	asleep = true;
	if
	:: d_step { noted -> noted = false; asleep = false }
	:: die()
	:: timeout -> assert((!visible[0] || seen[0]) && (!visible[1] || seen[1])); goto done
	fi;
	flag = false;
	goto awake;
done:	skip
}

init { atomic { run publisher(0); run publisher(1) } }
