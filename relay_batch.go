package parley

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley/internal/failpoint"
)

// databaseTimeout bounds each step in the database: one that has vanished without a word must not
// be waited for until TCP gives up.
const databaseTimeout = 30 * time.Second

// batch claims, publishes and settles once. Work that has begun goes on with hard after
// ctx has ended.
func (r *Relay) batch(ctx, hard context.Context) (BatchReport, error) {
	var report BatchReport
	r.waitReady(ctx)
	if err := r.settleOwed(ctx); err != nil {
		r.setState(RelayWaitsDatabase)
		return report, err
	}
	if err := ctx.Err(); err != nil {
		return report, err
	}
	start := time.Now()
	asking, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	limit := r.limit
	claimed, err := r.claim(asking)
	if err != nil {
		if !errors.Is(err, ErrStandby) {
			r.setState(RelayWaitsDatabase)
		}
		return report, err
	}
	r.setState(RelayActive)
	defer claimed.Release(hard)
	records := claimed.Records()
	report.Records, report.Claim = len(records), time.Since(start)
	if len(records) == 0 {
		return report, nil
	}
	report.Oldest = time.Since(records[0].CreatedAt)
	if err := failpoint.Hit("relay.claimed"); err != nil {
		return report, err
	}

	large := bodies(records) > r.cfg.MaxBytes/2
	if report.Full = large || len(records) >= limit; report.Full && !large {
		r.ahead = r.claimAhead(ctx, claimed)
	}
	start = time.Now()
	outcomes, inTime := r.publish(hard, claimed, records)
	report.Publish = time.Since(start)
	sent, parked := r.sort(records, outcomes, &report)
	r.adapt(inTime, large, report)
	start = time.Now()
	if !inTime {
		r.owed = append(r.owed, sent...) // refused ones are tried, and refused, once more
		err = r.settleReleased(hard)
	} else if err = r.settle(hard, claimed, sent, parked); err != nil {
		r.owed = append(r.owed, sent...)
	}
	report.Settle = time.Since(start)
	if due, ok := claimed.(DueBatch); ok && err == nil {
		r.next.wait, r.next.ok, r.next.known = due.NextDue()
		r.next.since = time.Now()
	}
	if err != nil || report.Rejected+report.Unknown > 0 {
		r.dropAhead(hard) // what is tried again comes first
	}
	if r.cfg.Hooks.Batch != nil {
		r.cfg.Hooks.Batch(report)
	}
	return report, err
}

func (r *Relay) waitReady(ctx context.Context) {
	ready, cancel := context.WithTimeout(ctx, time.Second)
	err := r.pub.Ready(ready)
	cancel()
	if err == nil || ctx.Err() != nil {
		return
	}
	// No transaction is open while the broker is away, however long that takes.
	r.dropAhead(ctx)
	r.setState(RelayWaitsBroker)
	_ = r.pub.Ready(ctx)
}

// publish sends the records and waits for the broker. If that takes longer than the
// hold limit, the records go back to the table first: no transaction stays open over a
// broker that stalls. inTime tells that the batch is still held.
func (r *Relay) publish(hard context.Context, held Batch, records []Record) (outcomes []error, inTime bool) {
	messages := make([]Message, len(records))
	for i := range records {
		messages[i] = records[i].Message
	}
	done := make(chan []error, 1)
	go func() { done <- r.pub.Publish(hard, messages) }() // joined below
	limit := time.NewTimer(r.cfg.HoldLimit)
	defer limit.Stop()
	select {
	case outcomes = <-done:
		return outcomes, true
	case <-limit.C:
		if err := held.Release(hard); err != nil {
			r.report("relay: gives records back", err)
		}
		r.dropAhead(hard)
		r.setState(RelayWaitsBroker)
		return <-done, false
	}
}

// sort says which records are done with.
func (r *Relay) sort(records []Record, outcomes []error, report *BatchReport) (sent []int64, parked []Parked) {
	sent = make([]int64, 0, len(records))
	for i := range records {
		rec := &records[i]
		var err error
		if outcomes != nil {
			err = outcomes[i]
		}
		switch {
		case err == nil:
			report.Accepted++
			sent = append(sent, rec.ID)
		case errors.Is(err, ErrUnroutable):
			report.Unroutable++
			switch r.unroutablePolicy(rec) {
			case UnroutablePark:
				parked = append(parked, Parked{*rec, cleanText(err.Error())})
			case UnroutableRetry:
				r.hold(rec.Exchange)
			default:
				sent = append(sent, rec.ID)
			}
		case errors.Is(err, ErrRefused), errors.Is(err, ErrInvalid):
			report.Refused++
			parked = append(parked, Parked{*rec, cleanText(err.Error())})
		case errors.Is(err, ErrRejected):
			report.Rejected++
			r.hold(rec.Exchange)
		default:
			report.Unknown++
		}
	}
	r.forgiveRejections(records, outcomes)
	return sent, parked
}

// cleanText makes a text that every database takes: brokers may answer with any bytes.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(shorten(s, 2000), "�"), "\x00", "�")
}

func (r *Relay) unroutablePolicy(rec *Record) UnroutablePolicy {
	policy := r.cfg.Unroutable
	if policy == UnroutableDefault {
		policy = UnroutableDrop
		if rec.Kind != KindEvent && rec.Kind != "" {
			policy = UnroutablePark
		}
	}
	if r.cfg.Hooks.Unroutable != nil {
		r.cfg.Hooks.Unroutable(*rec, policy)
	}
	address := rec.Exchange + "\x00" + rec.RoutingKey
	if time.Since(r.unroutable[address]) > time.Minute {
		if len(r.unroutable) > 1000 {
			clear(r.unroutable)
		}
		r.unroutable[address] = time.Now()
		r.cfg.Logger.Warn("relay: no queue is bound for this message", "exchange", rec.Exchange,
			"routing_key", rec.RoutingKey, "record", rec.ID, "done", policy.String())
	}
	return policy
}

func (p UnroutablePolicy) String() string {
	return [...]string{"default", "dropped", "parked", "kept for later"}[p]
}

// settle deletes and parks in the batch's own transaction.
func (r *Relay) settle(ctx context.Context, held Batch, sent []int64, parked []Parked) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	err := failpoint.Hit("relay.confirmed")
	foreign := 0
	if err == nil {
		foreign, err = held.Settle(ctx, sent, parked)
	}
	if err != nil {
		return err
	}
	for _, p := range parked {
		r.cfg.Logger.Error("relay: parked a record", "record", p.Record.ID, "exchange", p.Record.Exchange,
			"routing_key", shorten(p.Record.RoutingKey, 80), "err", p.Reason)
		if r.cfg.Hooks.Parked != nil {
			r.cfg.Hooks.Parked(p.Record, p.Reason)
		}
	}
	if foreign > 0 {
		r.reportForeign(foreign)
	}
	return nil
}

func (r *Relay) reportForeign(n int) {
	if r.cfg.Hooks.Foreign != nil {
		r.cfg.Hooks.Foreign(n)
	}
	r.cfg.Logger.Warn("relay: somebody else deleted records that this relay held; "+
		"does a relay without locks, such as runpublisher, work on the same table?", "records", n)
}

// settleReleased deletes what the broker has accepted after the batch went back to the table, for the first time: what
// is missing then was not deleted by this relay.
func (r *Relay) settleReleased(ctx context.Context) error {
	owed := len(r.owed)
	deleted, err := r.deleteOwed(ctx)
	if err == nil && deleted < owed {
		r.reportForeign(owed - deleted)
	}
	return err
}

// settleOwed deletes what the broker has accepted but the database could not
// settle. No new batch is read before that: it would be published twice.
func (r *Relay) settleOwed(ctx context.Context) error {
	_, err := r.deleteOwed(ctx) // an earlier try may have deleted some
	return err
}

func (r *Relay) deleteOwed(ctx context.Context) (deleted int, err error) {
	if len(r.owed) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	if deleted, err = r.source.Delete(ctx, r.owed); err != nil {
		return 0, err
	}
	r.owed = nil
	return deleted, nil
}

// adapt makes batches smaller when the broker cannot take one within the hold limit, and no larger
// than has room in memory: what a store reads beyond that it reads for nothing.
func (r *Relay) adapt(inTime, large bool, report BatchReport) {
	switch {
	case !inTime:
		r.limit = max(min(report.Accepted, r.limit/2), 1)
	case large:
		r.limit = min(report.Records+1, r.cfg.BatchSize)
	default:
		r.limit = min(r.limit*2, r.cfg.BatchSize)
	}
}

func bodies(records []Record) (size int) {
	for i := range records {
		size += len(records[i].Body)
	}
	return size
}

// hold stops publishing to an exchange for a while: each try of a partly full
// fan-out would multiply the message in the queues that are not full.
func (r *Relay) hold(exchange string) {
	h := r.rejected[exchange]
	if h == nil {
		h = &rejection{backoff: backoff{first: time.Second, limit: time.Minute}}
		r.rejected[exchange] = h
	}
	if time.Now().After(h.until) {
		h.until = time.Now().Add(h.next())
	}
}

// forgiveRejections forgets the backoff of exchanges that accept again.
func (r *Relay) forgiveRejections(records []Record, outcomes []error) {
	for exchange, h := range r.rejected {
		ok := func(i int) bool { return outcomes == nil || outcomes[i] == nil }
		for i := range records {
			if records[i].Exchange == exchange && ok(i) && time.Now().After(h.until) {
				delete(r.rejected, exchange)
				break
			}
		}
	}
}

func (r *Relay) heldExchanges() []string {
	var names []string
	for exchange, h := range r.rejected {
		if time.Now().Before(h.until) {
			names = append(names, exchange)
		}
	}
	slices.Sort(names)
	return names
}

func jitter(d time.Duration) time.Duration { return rand.N(d) }
