package service

import (
	"context"
	"errors"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/status"
)

// Status reads the state of the service: relay, queues, retries, parked messages and last errors, and in a process that runs parts
// of the service also theirs. Its cost does not grow with the tables. It waits for unreachable servers until ctx ends.
func (s *Service) Status(ctx context.Context) *status.Status {
	src := &status.Sources{
		AppID: s.Settings.AppID, Parallel: s.Settings.Relay.Mode == "parallel", Redact: func(err error) error { return s.Settings.Redact(err) },
		Process: s.process.Load(),
	}
	if s.db != nil {
		src.Outbox, src.Failures, src.Control = s.db, s.db.Failures(), s.db
		src.FailuresOptional = !s.Settings.FailuresInSQL() // a relay's database, such as that of a Django service, has no such table
	}
	// Another process does not see the queues of a broker in memory. One that the program handed in is its own.
	hidden := s.broker != nil && s.Settings.Broker.URL.IsMemory() && src.Process == nil
	if counter, ok := s.Broker.(status.QueueCounter); ok && !hidden {
		src.Broker = counter
	}
	for _, q := range s.Settings.RunQueues() {
		src.Consumers = append(src.Consumers, q.ConsumerName)
	}
	src.Queues = s.statusQueues()
	return status.Read(ctx, src)
}

// statusQueues returns the queues of the settings, and with retries in queues their retry queues.
func (s *Service) statusQueues() (out []status.QueueName) {
	for _, q := range s.Settings.RunQueues() {
		out = append(out, status.QueueName{Name: q.Name, Role: "queue"})
		if !s.Settings.FailuresInSQL() {
			for _, own := range parley.RetryTopology(q.Name, q.RetryDelays, nil).Queues {
				if own.Role == parley.QueueRetry {
					out = append(out, status.QueueName{Name: own.Name, Role: "retry"})
				}
			}
		}
		out = append(out, status.QueueName{Name: parley.ParkedQueue(q.Name), Role: "parked"})
	}
	return out
}

// processOf returns the parts of this process, for readiness and status.
func (s *Service) processOf(relay *parley.Relay, consumers []consumer) *status.Process {
	p := &status.Process{}
	if relay != nil {
		p.Relay = relay
	}
	for _, c := range consumers {
		p.Consumers = append(p.Consumers, status.ConsumerOf{Queue: c.queue, Consumer: c.Consumer})
	}
	if s.db != nil {
		p.Database = s.databaseState
	}
	return p
}

// States of the database while Prepare runs.
const (
	databaseUnreachable = "unreachable"
	databaseMigrating   = "migrating"
)

// isPreparing returns the state of the database while Prepare runs. Otherwise ok is false.
func (s *Service) isPreparing() (state string, ok bool) {
	state, _ = s.preparing.Load().(string)
	return state, state != ""
}

// databaseState returns the state of the database, without the cause of a failure.
func (s *Service) databaseState(ctx context.Context) string {
	if state, preparing := s.isPreparing(); preparing {
		return state
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	switch err := s.db.Ping(ctx); {
	case errors.Is(err, errBusy):
		return status.Busy
	case errors.Is(err, ErrReadOnly):
		return err.Error()
	case err != nil:
		return databaseUnreachable
	}
	if _, _, err := s.db.NextDue(ctx); errors.Is(err, parley.ErrNoTables) {
		return `tables are missing (run "migrate up" or set database.migrate)`
	}
	return status.OK
}
