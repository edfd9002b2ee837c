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

// databaseTimeout bounds each database operation: a relay must not wait for a vanished database
// until TCP gives up.
const databaseTimeout = 30 * time.Second

// batch claims, publishes and settles one batch. Work that has started continues with hard after
// ctx has ended.
func (r *Relay) batch(ctx, hard context.Context) (BatchReport, error) {
	var report BatchReport
	r.waitReady(ctx)
	if err := r.deleteUnsettled(ctx); err != nil {
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
	held, err := r.claimUnsent(asking, hard)
	if err != nil {
		if !errors.Is(err, ErrStandby) {
			r.setState(RelayWaitsDatabase)
		}
		return report, err
	}
	claimed, records := held.Batch, held.unsent
	r.leads(len(records))
	defer claimed.Release(hard)
	report.Records, report.Claim = len(records), time.Since(start)
	if held.size < limit {
		r.forgetHeld(records)
	}
	if len(records) == 0 {
		return report, nil
	}
	report.Oldest = time.Since(records[0].CreatedAt)
	if err := failpoint.Hit("relay.claimed"); err != nil {
		return report, err
	}

	large := bodies(records) > r.cfg.MaxBytes/2
	if report.Full = large || held.size >= limit; report.Full && !large {
		r.ahead = r.claimAhead(ctx, claimed)
	}
	start = time.Now()
	outcomes, inTime := r.publish(hard, claimed, records)
	report.Publish = time.Since(start)
	sent, parked := r.sort(records, outcomes, &report)
	r.adapt(inTime, large, report)
	start = time.Now()
	err = r.settleOutcomes(hard, held, sent, parked, inTime)
	report.Settle = time.Since(start)
	if due, ok := claimed.(DueBatch); ok && err == nil {
		r.next.wait, r.next.ok, r.next.known = due.NextDue()
		r.next.since = time.Now()
	}
	if err != nil || report.Rejected+report.Unknown > 0 {
		r.dropAhead(hard) // records to retry come first
	}
	if r.cfg.Hooks.Batch != nil {
		r.cfg.Hooks.Batch(report)
	}
	return report, err
}

// settleOutcomes deletes what was sent and parks what was refused. What it cannot delete it remembers, so that it is not sent again.
func (r *Relay) settleOutcomes(hard context.Context, held claimedBatch, sent []int64, parked []Parked, inTime bool) error {
	if !inTime {
		r.remember(held.unsent, sent) // refused records are published, and refused, once more
		return r.deleteReleased(hard)
	}
	if err := r.settle(hard, held.Batch, append(sent, held.again...), parked); err != nil {
		r.remember(held.unsent, sent)
		return err
	}
	r.forget(held.again)
	return nil
}

func (r *Relay) waitReady(ctx context.Context) {
	ready, cancel := context.WithTimeout(ctx, time.Second)
	err := r.pub.Ready(ready)
	cancel()
	if err == nil || ctx.Err() != nil {
		return
	}
	// No transaction is open while the broker is unreachable, however long that takes.
	r.dropAhead(ctx)
	r.lowerFlag(ctx)
	r.setState(RelayWaitsBroker)
	_ = r.pub.Ready(ctx)
	r.routes.restart()
}

// publish sends the records and waits for the broker. After the hold limit the records
// are released first: no transaction stays open while the broker stalls.
// inTime reports whether the batch is still held.
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
			r.report("relay: releasing the batch failed", err)
		}
		r.dropAhead(hard)
		r.setState(RelayWaitsBroker)
		return <-done, false
	}
}

// sort divides the records by outcome: sent, to be parked, or kept.
func (r *Relay) sort(records []Record, outcomes []error, report *BatchReport) (sent []int64, parked []Parked) {
	sent = make([]int64, 0, len(records))
	now := time.Now()
	for i := range records {
		rec := &records[i]
		var err error
		if outcomes != nil {
			err = outcomes[i]
		}
		switch {
		case err == nil:
			report.Accepted++
			r.routes.accepted(rec, now)
			sent = append(sent, rec.ID)
		case errors.Is(err, ErrUnroutable) && r.routes.doubtful(rec, now):
			report.Rejected++ // the report says what the relay does: it keeps the record
			r.probeLater(rec)
		case errors.Is(err, ErrUnroutable):
			report.Unroutable++
			switch r.unroutablePolicy(rec) {
			case UnroutablePark:
				parked = append(parked, Parked{*rec, cleanText(err.Error())})
				r.routes.decided(rec)
			case UnroutableRetry:
				r.hold(rec.Exchange, nil)
			default:
				sent = append(sent, rec.ID)
				r.routes.decided(rec)
			}
		case errors.Is(err, ErrRefused), errors.Is(err, ErrInvalid):
			report.Refused++
			parked = append(parked, Parked{*rec, cleanText(err.Error())})
		case errors.Is(err, ErrRejected):
			report.Rejected++
			r.hold(rec.Exchange, ErrRejected)
		default:
			report.Unknown++
		}
	}
	r.resetRejectionBackoff(records, outcomes)
	return sent, parked
}

// cleanText returns text that every database accepts: a broker's reply may contain any bytes.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(shorten(s, 2000), "�"), "\x00", "�")
}

// settle deletes and parks records in the batch's own transaction.
func (r *Relay) settle(ctx context.Context, held Batch, sent []int64, parked []Parked) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	err := failpoint.Hit("relay.confirmed")
	missing := 0
	if err == nil {
		missing, err = held.Settle(ctx, sent, parked)
	}
	if err != nil {
		return err
	}
	for _, p := range parked {
		r.cfg.Logger.Error("relay: record parked", "record", p.Record.ID, "exchange", p.Record.Exchange,
			"routing_key", shorten(p.Record.RoutingKey, 80), "err", p.Reason)
		if r.cfg.Hooks.Parked != nil {
			r.cfg.Hooks.Parked(p.Record, p.Reason)
		}
	}
	if missing > 0 {
		r.reportDeletedElsewhere(missing)
	}
	return nil
}

// adapt reduces the batch size when the broker cannot confirm a batch within the hold limit. It does so too
// when the bodies exceed MaxBytes: the store would read the rest for nothing.
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

// hold backs off from an exchange: each attempt on a partly full
// fan-out would multiply the message in the queues that are not full.
func (r *Relay) hold(exchange string, why error) {
	h := r.rejection(exchange)
	h.why = why
	if now := time.Now(); !now.Before(h.until) {
		h.until = now.Add(h.next())
	}
}

// rejection returns the backoff of an exchange, a new one if it has none.
func (r *Relay) rejection(exchange string) *rejection {
	h := r.rejected[exchange]
	if h == nil {
		h = &rejection{backoff: backoff{first: time.Second, limit: time.Minute}}
		r.rejected[exchange] = h
	}
	return h
}

// resetRejectionBackoff resets the backoff of exchanges that accept messages again.
func (r *Relay) resetRejectionBackoff(records []Record, outcomes []error) {
	for exchange, h := range r.rejected {
		ok := func(i int) bool { return outcomes == nil || outcomes[i] == nil }
		for i := range records {
			if records[i].Exchange == exchange && ok(i) && !time.Now().Before(h.until) {
				delete(r.rejected, exchange)
				break
			}
		}
	}
}

// forgetHeld ends the backoff of exchanges that had no due record in a claim of everything that was due. Otherwise the relay would go on
// looking for them, and never sleep.
func (r *Relay) forgetHeld(records []Record) {
	for exchange, h := range r.rejected {
		if !r.heldAt.Before(h.until) && !slices.ContainsFunc(records, func(rec Record) bool { return rec.Exchange == exchange }) {
			delete(r.rejected, exchange)
		}
	}
}

// heldBack returns an exchange whose records wait for the end of its backoff, the first one to end, and nil if there is none. Exchanges
// whose unroutable records the policy keeps are not among them.
func (r *Relay) heldBack() (exchange string, first *rejection) {
	for name, h := range r.rejected {
		if h.why != nil && time.Now().Before(h.until) && (first == nil || h.until.Before(first.until)) {
			exchange, first = name, h
		}
	}
	return exchange, first
}

func (r *Relay) heldExchanges() []string {
	r.heldAt = time.Now()
	var names []string
	for exchange, h := range r.rejected {
		if time.Now().Before(h.until) {
			names = append(names, exchange)
		}
	}
	names = append(names, r.cfg.Control.pausedExchanges()...)
	slices.Sort(names)
	return names
}

func jitter(d time.Duration) time.Duration { return rand.N(d) }
