package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
)

// checkLimits are the limits beyond which the outbox or the retries of a consumer count as unhealthy.
type checkLimits struct {
	delay   time.Duration
	pending int64
	parked  int64
	overdue time.Duration
	timeout time.Duration
}

func (a *app) checkCommand() *cobra.Command {
	var l checkLimits
	var o output.Options
	c := &cobra.Command{
		Use: "check", Short: "check that events are published and failed deliveries are retried", Args: NoArgs,
		Long: `Checks that the events of the outbox are published and that failed deliveries are retried, for health checks and monitoring.
It reads every row of the outbox and counts failed deliveries by consumer. If broker and queue are set, it also counts the messages
in <queue>.parked.

Exit codes:
0  healthy
1  unhealthy: the database is a read-only standby; or the oldest due event has waited longer than --max-delay while more than --max-pending are due; or rows of the outbox
   can never become due; or a retry of a consumer is overdue by more than --max-overdue; or more than --max-parked messages are parked
2  cannot determine: the database is unreachable, or the settings are wrong`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			err := a.withDatabaseFor(cmd, readOnly, func(ctx context.Context, s *service.Service) error {
				ctx, cancel := context.WithTimeout(ctx, l.timeout)
				defer cancel()
				st, err := checked(ctx, s, &l)
				if err != nil {
					return err
				}
				return l.judge(cmd, st, &o)
			})
			if _, judged := errors.AsType[*exitError](err); judged || err == nil || exitCode(err) == ExitUsage {
				return err
			}
			return &exitError{ExitUsage, fmt.Errorf("cannot determine: %w", err)}
		},
	}
	c.Flags().DurationVar(&l.delay, "max-delay", 10*time.Second, "longest time that the oldest due event may wait")
	c.Flags().Int64Var(&l.pending, "max-pending", 0, "most due events while the oldest one waits longer than --max-delay")
	c.Flags().DurationVar(&l.overdue, "max-overdue", time.Minute, "longest time that a retry of a consumer may be overdue")
	c.Flags().Int64Var(&l.parked, "max-parked", -1, "most parked messages (-1: no limit)")
	c.Flags().DurationVar(&l.timeout, "timeout", 10*time.Second, "timeout of the whole check")
	o.Add(c)
	return c
}

// checkedState is the state that check found.
type checkedState struct {
	parley.OutboxStats
	consumers []consumerState
	queue     *int     // messages in the parked queue; nil if they were not counted
	notes     []string // optional checks that failed
	pauses    []parley.Pause
	readOnly  string // why the database accepts no writes, or ""
}

// A consumerState is the state of one consumer's failed deliveries.
type consumerState struct {
	name string
	own  bool // whether it is a consumer of these settings
	parley.FailureStats
}

// checked reads the state of outbox, failed deliveries and parked queue.
func checked(ctx context.Context, s *service.Service, l *checkLimits) (*checkedState, error) {
	var found checkedState
	err := s.Database().Ping(ctx)
	if errors.Is(err, service.ErrReadOnly) {
		found.readOnly = err.Error()
	}
	if found.OutboxStats, err = s.Database().Stats(ctx); err != nil {
		return nil, err
	}
	if found.pauses, err = s.Database().Pauses(ctx); err != nil && !errors.Is(err, parley.ErrControlNotReady) {
		return nil, err
	}
	own := ownConsumers(s)
	if found.consumers, err = consumerStates(ctx, s.Database().Failures(), own); err != nil {
		if len(own) > 0 && s.Settings.FailuresInSQL() {
			return nil, fmt.Errorf("failed deliveries: %w", err)
		}
		// The table is optional in a relay's database, such as that of a Django service.
		found.notes = append(found.notes, "failed deliveries: cannot determine: "+s.Settings.Redact(err).Error())
	}
	queues := parkedQueuesOf(s)
	if s.Broker == nil || s.Settings.Broker.URL.IsMemory() || len(queues) == 0 {
		return &found, nil
	}
	total := 0
	for _, q := range queues {
		var n int
		if n, err = q.count(ctx, min(l.timeout/2, 3*time.Second)); err != nil {
			break
		}
		total += n
	}
	switch {
	case err == nil:
		found.queue = &total
	case l.parked >= 0:
		return nil, err
	default:
		found.notes = append(found.notes, "parked queue: cannot determine: "+s.Settings.Redact(err).Error())
	}
	return &found, nil
}

// ownConsumers returns the names of the consumers of the settings.
func ownConsumers(s *service.Service) []string {
	var out []string
	for _, q := range s.Settings.RunQueues() {
		out = append(out, q.ConsumerName)
	}
	if len(out) == 0 && s.Settings.Consumer.Name != "" {
		out = append(out, s.Settings.Consumer.Name)
	}
	return out
}

// consumerStates counts the failed deliveries of each consumer that has any.
func consumerStates(ctx context.Context, store parley.FailureOperator, own []string) ([]consumerState, error) {
	names, err := store.Consumers(ctx)
	if err != nil {
		return nil, err
	}
	var out []consumerState
	for _, name := range names {
		st, err := store.Stats(ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, consumerState{name: name, own: slices.Contains(own, name), FailureStats: st})
	}
	return out, nil
}

// parkedInAll counts the parked messages of outbox, consumers and parked queue.
func (st *checkedState) parkedInAll() int64 {
	n := st.Parked + st.parkedRows()
	if st.queue != nil {
		n += int64(*st.queue)
	}
	return n
}

// parkedRows counts the parked rows of all consumers.
func (st *checkedState) parkedRows() (n int64) {
	for i := range st.consumers {
		n += st.consumers[i].Parked
	}
	return n
}
