/* The rows of one ordering key: one process removes the first row while another one appends behind it, and either
   may die after its commit. To be shown: the row behind becomes due, without the sweep if nobody has died, and never while
   the first row is there.

   PLANT_REMOVERONLY: whoever appends a row does not promote.
   PLANT_APPENDERONLY: whoever removes the first row does not promote.
   PLANT_EARLY: the remover promotes within its transaction.
   PLANT_EAGER: whoever appends makes its row due without a look at the first one.
   PLANT_NOSWEEP: there is no sweep. */
bool head = true;  /* the first row, committed */
bool tail = false; /* the row behind it, committed */
bool due = false;  /* the row behind it */
byte done = 0;
bool death = false;

/* One statement. */
inline promote() {
	atomic {
		if
		:: !head && tail && !due -> due = true
		:: else -> skip
		fi
	}
}

inline mayDie() {
	if
	:: skip
	:: atomic { !death -> death = true; goto end }
	fi
}

active proctype remover() {
#ifdef PLANT_EARLY
	promote();
#endif
	head = false; /* the commit of the handler's transaction */
	mayDie();
#ifndef PLANT_APPENDERONLY
#ifndef PLANT_EARLY
	promote();
#endif
#endif
end:	done++
}

active proctype appender() {
	bool behind;
	behind = head; /* within its transaction: what is not committed is not seen */
#ifdef PLANT_EAGER
	behind = false;
#endif
	atomic { tail = true; due = !behind }; /* its commit */
	assert(!(due && head));
	mayDie();
#ifndef PLANT_REMOVERONLY
	promote();
#endif
end:	done++
}

active proctype sweep() {
	(done == 2);
	assert(due || death);
#ifndef PLANT_NOSWEEP
	promote();
#endif
	assert(due)
}
