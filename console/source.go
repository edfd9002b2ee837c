package console

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// A Source is one service: what the console shows of it and can change. Every field but Name is optional; a screen without its field
// says so.
type Source struct {
	// Name is shown, and part of URLs: 1 to 64 letters, digits, dots, dashes or underscores. It is unique.
	Name string
	// Command starts the equivalent commands that the console shows. Default: parley.
	Command string
	// Status reads the state of the service. The console calls it at most every 2 s.
	Status func(ctx context.Context) (*Status, error)
	// Outbox lists due records.
	Outbox parley.DueLister
	// ParkedRecords are the parked records of the outbox.
	ParkedRecords parley.ParkedStore
	// Failures is the table of failed deliveries.
	Failures parley.FailureOperator
	// ParkedQueues are the parked queues of consumers without a database.
	ParkedQueues []ParkedQueue
	// Schedule lists and changes scheduled messages; see [ScheduleOf].
	Schedule Schedule
	// Broker is for the tail and for ParkedQueues.
	Broker parley.Broker
	// Topology reads exchanges, bindings, queues and handlers.
	Topology func(ctx context.Context) (*Topology, error)
	// Settings lists the settings, with secrets hidden.
	Settings func() []Setting
	// Doctor examines the servers. It may take up to 30 s, and runs only when a user asks for it.
	Doctor func(ctx context.Context) []parley.Finding
	// Sample reads the numbers of the graphs; [Console.Run] calls it every 10 s.
	Sample func(ctx context.Context) (Sample, error)
	// Groups groups the parked rows of Failures by their cause.
	Groups parley.FailureGrouper
	// Control pauses and resumes relays and consumers.
	Control parley.ControlStore
	// Actions is the lasting log of changes; Failures, ParkedRecords and Control write to it. Default: the console keeps its own last
	// 200 changes in memory.
	Actions parley.ActionLog
	// Redact returns an error without secrets. Default: unchanged.
	Redact func(error) error
}

// A ParkedQueue is the parked queue of a consumer that has no database.
type ParkedQueue struct {
	// Queue is the queue of the consumer, without the suffix of its parked queue.
	Queue    string
	Consumer string
	// Secrets verify the history of messages; nil means those derived from the broker's login.
	Secrets [][]byte
}

// A Schedule lists and changes the scheduled messages of an outbox.
type Schedule interface {
	// Scheduled lists the messages that match, soonest first: at most limit. Empty fields of s match all.
	Scheduled(ctx context.Context, s parley.Selection, limit int) ([]parley.Record, error)
	// Change passes the first limit messages that match to check, and cancels all that match, or moves them to due if due is not zero,
	// in the same transaction. If check fails nothing is changed. It returns the number of changed messages.
	Change(ctx context.Context, s parley.Selection, due time.Time, limit int, check func(list []parley.Record) error) (int, error)
}

// ScheduleOf returns the schedule of an outbox store. inTx runs a function in a transaction of its database.
func ScheduleOf[Tx any](store parley.OutboxStore[Tx], inTx func(ctx context.Context, fn func(tx Tx) error) error) Schedule {
	return schedule[Tx]{store, inTx}
}

type schedule[Tx any] struct {
	store parley.OutboxStore[Tx]
	inTx  func(ctx context.Context, fn func(tx Tx) error) error
}

// LogsSchedule implements parley.ScheduleLogger.
func (s schedule[Tx]) LogsSchedule() bool {
	l, ok := s.store.(parley.ScheduleLogger)
	return ok && l.LogsSchedule()
}

// Scheduled implements Schedule.
func (s schedule[Tx]) Scheduled(ctx context.Context, sel parley.Selection, limit int) (list []parley.Record, err error) {
	err = s.inTx(ctx, func(tx Tx) (err error) {
		list, err = s.store.Scheduled(ctx, tx, sel, limit)
		return err
	})
	return list, err
}

// Change implements Schedule.
func (s schedule[Tx]) Change(ctx context.Context, sel parley.Selection, due time.Time, limit int, check func([]parley.Record) error) (n int, err error) {
	err = s.inTx(ctx, func(tx Tx) error {
		list, err := s.store.Scheduled(ctx, tx, sel, limit)
		if err != nil {
			return err
		}
		if err := check(list); err != nil {
			return err
		}
		if due.IsZero() {
			n, err = s.store.Cancel(ctx, tx, sel)
		} else {
			n, err = s.store.Reschedule(ctx, tx, sel, due)
		}
		if err == nil && len(list) < limit && n > len(list) {
			err = fmt.Errorf("%d messages match now, the preview had %d: %w", n, len(list), errChanged)
		}
		return err
	})
	if err != nil {
		n = 0
	}
	return n, err
}

// A Setting is a setting with its value as text.
type Setting struct{ Key, Value, Source string }

// source is a Source with what the console remembers of it.
type source struct {
	Source

	status  cache
	samples ring

	mu       sync.Mutex // guards the fields below
	running  bool       // the doctor is running
	findings []parley.Finding
	examined time.Time
}

// redact returns err without secrets.
func (s *source) redact(err error) error {
	if s.Redact == nil || err == nil {
		return err
	}
	return s.Redact(err)
}
