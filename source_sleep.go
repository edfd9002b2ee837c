package parley

import "context"

// A RelaySleeper is a RelayWaker that sends wake-ups only while a relay sleeps: publishers test a flag, and notify only while
// it is raised. So notifications cost publishers nothing while a relay works.
type RelaySleeper interface {
	RelayWaker
	// WatchAsleep is Watch. Before its first wake-up it calls ready with the flag of this watcher, if wake-ups
	// arrive. The flag is lost when WatchAsleep returns.
	WatchAsleep(ctx context.Context, wake func(), ready func(SleepFlag)) error
}

// A SleepFlag tells publishers that a relay sleeps. Its watcher lowers it with each wake-up. One goroutine may use it.
type SleepFlag interface {
	// Raise raises the flag, unless it is raised already. An error means that the flag is not raised.
	Raise(ctx context.Context) (SleepState, error)
	// Settled reports whether all transactions that may have tested the flag before it was raised have ended. A relay that
	// looks for records after Settled has returned true, and finds none, can rely on wake-ups.
	Settled(ctx context.Context) (bool, error)
	// Lower lowers the flag.
	Lower(ctx context.Context) error
	// Due reports whether any record is due, locked ones included, except those of the given exchanges.
	Due(ctx context.Context, except []string) (bool, error)
}

// SleepState says who has raised the flag, and since when.
type SleepState struct {
	// Mine is false if the flag belongs to another relay, which has raised it first.
	Mine bool
	// Series is the same as in the last call if the flag has been raised all the time since then.
	Series uint64
}
