package parley

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReplayOptions are the options of [ReplayFailures].
type ReplayOptions struct {
	// Every is the time between two messages: 20ms for 50 messages a second. 0 means all at once.
	Every time.Duration
	// Canary is how many messages are replayed first. Only when all of them are handled do the others follow; when one fails again,
	// the replay stops. 0 means none. A message whose row is gone counts as handled, also one that has expired: leave such messages out
	// with Keep.
	Canary int
	// CanaryTimeout is how long to wait for them. Default: 2m.
	CanaryTimeout time.Duration
	// Keep, if not nil, reports whether a row stays parked. The row has no body. Keep may be called more than once for a row. An error
	// ends the replay, which can be continued.
	Keep func(ctx context.Context, row *FailureRow) (bool, error)
	// Progress, if not nil, is called after each step.
	Progress func(ReplayProgress)
}

// A ReplayProgress tells how far a replay is.
type ReplayProgress struct {
	// Entry is the id of the action in the log. Resumed reports whether an earlier process has begun it.
	Entry   int64
	Resumed bool
	// Replayed of Total rows are replayed. Total is exact up to FailureStatsCap, and includes rows that stay parked.
	Replayed, Total int64
	// Canary reports whether the replay waits for its first messages.
	Canary bool
}

// ErrCanaryFailed means that one of the first messages of a replay has failed again. The other messages are still parked.
var ErrCanaryFailed = errors.New("the first message failed again")

// ErrCanaryPending means that the first messages were not handled in time: does their consumer run?
var ErrCanaryPending = errors.New("the first message was not handled in time (does its consumer run?)")

const (
	replayAhead    = 10 * time.Second // how far ahead of their times rows are made due
	replayPage     = 500              // rows in one step
	canaryPoll     = 200 * time.Millisecond
	canaryPatience = 2 * time.Minute
)

// ReplayFailures replays the parked rows that match q, which must name a consumer or a fingerprint, in the order of their ids. Rows that are parked later do not take part.
//
// Its progress is in the action log, and advances in the transaction that replays a row. If its process dies, another call with the same q
// continues the action, with the same pace: at most 10 s of messages are due ahead of time. No row is replayed twice by one action. Two calls
// at once share the work.
func ReplayFailures(ctx context.Context, store FailureOperator, log ActionLog, q FailureQuery, o ReplayOptions) (ReplayProgress, error) {
	r := &replay{store: store, log: log, q: q, o: o}
	r.q.States = []FailureState{FailureParked}
	err := r.begin(ctx)
	if err == nil {
		err = r.run(ctx)
	}
	if err != nil {
		err = fmt.Errorf("parley: replay failed deliveries: %w", err)
	}
	return r.progress, err
}

// A replay is an action in the log that replays rows step by step. Detail of its entry is the phase: "canary 12,13" or "".
type replay struct {
	store    FailureOperator
	log      ActionLog
	q        FailureQuery
	o        ReplayOptions
	entry    Action
	actor    Actor
	progress ReplayProgress
}

// begin finds the action that an earlier process has left, or begins one.
func (r *replay) begin(ctx context.Context) error {
	if r.q.Fingerprint == "" && r.q.Consumer == "" {
		return errors.New("name a consumer or a group")
	}
	filter := r.q.String()
	running, err := r.log.Actions(ctx, ActionQuery{Running: true, Limit: 1000})
	if err != nil {
		return err
	}
	r.actor, _ = ActorOf(ctx)
	i := slices.IndexFunc(running, func(a Action) bool { return a.Name == ActionReplay && a.Filter == CleanText(filter, 2000) })
	if i >= 0 {
		r.entry, r.progress.Resumed = running[i], true
	} else if err := r.create(ctx, filter); err != nil {
		return err
	}
	r.actor.Entry = r.entry.ID
	r.q.UpTo = max(r.entry.UpTo, 1)
	r.report()
	return nil
}

// create writes the entry of a new action.
func (r *replay) create(ctx context.Context, filter string) error {
	r.entry = Action{Name: ActionReplay, Filter: filter, State: ActionRunning}.by(r.actor)
	for after := int64(0); r.entry.Total < FailureStatsCap; {
		rows, err := r.store.List(ctx, r.q, after, replayPage)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].ID
		r.entry.Total += int64(len(rows))
		r.entry.UpTo = after
	}
	if r.entry.Total >= FailureStatsCap {
		r.entry.UpTo = 1<<63 - 1
		if newest, ok := r.store.(FailureGrouper); ok { // rows that are parked from now on stay out
			groups, err := newest.FailureGroups(ctx, r.q.Consumer, 1000)
			if err != nil {
				return err
			}
			r.entry.UpTo = 0
			for _, g := range groups {
				r.entry.UpTo = max(r.entry.UpTo, g.LastID)
			}
		}
	}
	var err error
	r.entry.ID, err = r.log.LogAction(ctx, r.entry)
	return err
}

func (r *replay) run(ctx context.Context) error {
	if r.entry.Cursor == 0 && r.o.Canary > 0 || r.entry.Detail != "" {
		if err := r.canary(ctx); err != nil {
			return r.stop(ctx, err)
		}
	}
	for {
		n, more, err := r.step(ctx, r.batch())
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if !sleep(ctx, time.Duration(n)*r.o.Every) {
			return ctx.Err()
		}
	}
	r.entry.State, r.entry.Detail = ActionDone, ""
	return r.log.UpdateAction(ctx, r.entry)
}

// batch returns the number of rows of one step.
func (r *replay) batch() int {
	if r.o.Every <= 0 {
		return replayPage
	}
	return int(max(1, min(replayPage, replayAhead/r.o.Every)))
}

// step replays up to n rows behind the cursor. It moves the cursor in the same transaction. It returns how many it replayed, and whether
// there were rows.
func (r *replay) step(ctx context.Context, n int) (replayed int, more bool, err error) {
	rows, err := r.store.List(ctx, r.q, r.entry.Cursor, n)
	if err != nil || len(rows) == 0 {
		return 0, false, err
	}
	ids, err := r.choose(ctx, rows, len(rows))
	if err == nil && len(ids) > 0 {
		err = r.replayIDs(ctx, ids)
	}
	if err != nil {
		return 0, false, err
	}
	r.entry.Cursor = rows[len(rows)-1].ID // past rows that stay parked
	return len(ids), true, nil
}

// choose returns the ids of the first rows that do not stay parked, at most limit.
func (r *replay) choose(ctx context.Context, rows []FailureRow, limit int) (ids []int64, err error) {
	for i := 0; i < len(rows) && len(ids) < limit; i++ {
		keep := false
		if r.o.Keep != nil {
			if keep, err = r.o.Keep(ctx, &rows[i]); err != nil {
				return nil, err
			}
		}
		if !keep {
			ids = append(ids, rows[i].ID)
		}
	}
	return ids, nil
}

func (r *replay) replayIDs(ctx context.Context, ids []int64) error {
	done, err := r.store.Replay(WithActor(ctx, r.actor), FailureQuery{IDs: ids, States: r.q.States}, r.o.Every)
	r.entry.Changed += int64(done)
	r.entry.Cursor = ids[len(ids)-1]
	if err == nil {
		r.report()
	}
	return err
}

func (r *replay) report() {
	r.progress.Entry, r.progress.Replayed, r.progress.Total = r.entry.ID, r.entry.Changed, r.entry.Total
	r.progress.Canary = r.entry.Detail != ""
	if r.o.Progress != nil {
		r.o.Progress(r.progress)
	}
}

const canaryDetail = "canary "

// canary replays the first rows, and waits until they are handled.
func (r *replay) canary(ctx context.Context) error {
	ids, begun := r.canaryIDs()
	if !begun {
		var err error
		if ids, err = r.firstIDs(ctx); err != nil || len(ids) == 0 {
			return err
		}
		text := make([]string, len(ids))
		for i, id := range ids {
			text[i] = strconv.FormatInt(id, 10)
		}
		r.entry.Detail = canaryDetail + strings.Join(text, ",") // before the replay: a crash in between must not skip the wait
		if err := r.log.UpdateAction(ctx, r.entry); err != nil {
			return err
		}
	}
	if r.entry.Cursor < ids[len(ids)-1] {
		if err := r.replayIDs(ctx, ids); err != nil {
			return err
		}
	}
	if err := r.await(ctx, ids); err != nil {
		return err
	}
	r.entry.Detail = ""
	return r.log.UpdateAction(ctx, r.entry)
}

// firstIDs returns the ids of the first rows to replay.
func (r *replay) firstIDs(ctx context.Context) (ids []int64, err error) {
	for after := r.entry.Cursor; len(ids) < r.o.Canary; {
		rows, err := r.store.List(ctx, r.q, after, replayPage)
		if err != nil || len(rows) == 0 {
			return ids, err
		}
		chosen, err := r.choose(ctx, rows, r.o.Canary-len(ids))
		if err != nil {
			return nil, err
		}
		ids, after = append(ids, chosen...), rows[len(rows)-1].ID
	}
	return ids, nil
}

// canaryIDs returns the ids of the first rows, if an earlier process has chosen them.
func (r *replay) canaryIDs() (ids []int64, ok bool) {
	list, ok := strings.CutPrefix(r.entry.Detail, canaryDetail)
	if !ok {
		return nil, false
	}
	for text := range strings.SplitSeq(list, ",") {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, len(ids) > 0
}

// await waits until the rows are handled. It returns an error when one fails again.
func (r *replay) await(ctx context.Context, ids []int64) error {
	limit := r.o.CanaryTimeout
	if limit <= 0 {
		limit = canaryPatience
	}
	deadline := time.Now().Add(limit)
	for {
		open := 0
		for _, id := range ids {
			row, err := r.store.Get(ctx, id)
			switch {
			case errors.Is(err, ErrNoFailure): // handled
			case err != nil:
				return err
			case row.State == FailureParked || row.History.Retries > 0:
				return fmt.Errorf("%w: c%d: %s", ErrCanaryFailed, id, shorten(row.History.LastError, 500))
			default:
				open++
			}
		}
		if open == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return ErrCanaryPending
		}
		if !sleep(ctx, canaryPoll) {
			return ctx.Err()
		}
	}
}

// stop ends the action if a message has failed. It can be continued after other errors.
func (r *replay) stop(ctx context.Context, cause error) error {
	if !errors.Is(cause, ErrCanaryFailed) {
		return cause
	}
	stopped := r.entry
	stopped.State, stopped.Detail = ActionStopped, cause.Error()
	return errors.Join(cause, r.log.UpdateAction(ctx, stopped))
}
