package parley

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"strings"

	"github.com/parley-go/parley/internal/failpoint"
)

// keep writes a failed delivery from the broker into the failure store. If the database refuses it because of its headers, it is
// written with parley's headers only. If the database refuses that too, it goes to the parked queue.
func (r *rowSource) keep(ctx context.Context, j *job, v verdict) error {
	f := r.c.failure(j, v)
	_, err := r.store.Keep(ctx, r.c.cfg.Name, []Failure{f})
	if errors.Is(err, ErrRefused) {
		f.Message = ownHeadersOnly(f.Message, err)
		f.Message.Headers = withoutHistory(f.Message.Headers)
		f.History.Reason = strings.TrimSpace(f.History.Reason + "\nheaders left out: " + shorten(err.Error(), 500))
		_, err = r.store.Keep(ctx, r.c.cfg.Name, []Failure{f})
	}
	if errors.Is(err, ErrRefused) {
		r.c.cfg.Logger.Error("consumer: failed delivery refused by the database, moving it to the parked queue", r.c.attrs(j.d, err)...)
		if err := r.c.declareParkedQueue(ctx); err != nil {
			return err
		}
		v.err = errors.Join(v.err, err)
		return r.s.park(j, v)
	}
	if err == nil {
		_ = failpoint.Hit("consumer.kept")
	}
	r.wake()
	return err
}

// settle ends the claim of a row that will be retried or parked.
func (r *rowSource) settle(ctx context.Context, j *job, v verdict) error {
	o := FailureOutcome{Action: FailureRetry, After: v.wait, History: j.d.history, Fingerprint: fingerprint(j.d, v.err)}
	if v.pause != "" {
		o.Fingerprint = v.pause
	}
	if v.action == actPark {
		o.Action, o.After, o.Holds = FailurePark, 0, j.holds()
		o.History.Reason = parkReason(v.err)
	}
	if o.Action == FailureRetry || o.Holds {
		j.row.run.broken.Store(true) // before a follower of the run is checked
	}
	if err := r.store.Settle(ctx, j.row.FailureClaim, o); err != nil {
		return err
	}
	r.forget(j)
	return nil
}

// done ends the claim of a handled row. With OnTx its handler's transaction has already deleted the row.
func (r *rowSource) done(ctx context.Context, j *job) error {
	var err error
	switch {
	case !j.row.deleted.Load():
		_ = failpoint.Hit("consumer.settling")
		err = r.store.Settle(ctx, j.row.FailureClaim, FailureOutcome{Action: FailureDone})
	case j.row.Key != "":
		_ = failpoint.Hit("consumer.promoting")
		if err = r.store.Promote(ctx, j.row.Consumer, j.row.Key); err != nil {
			r.c.cfg.Logger.Warn("consumer: promoting the next failed delivery of a key failed, the next sweep promotes it", r.c.attrs(j.d, err)...)
			err = nil
		}
	}
	if err == nil || errors.Is(err, ErrClaimLost) {
		r.forget(j)
	}
	return err
}

// A failurePromoter is the part of FailureTx that does not depend on the transaction's type.
type failurePromoter interface {
	Promote(ctx context.Context, consumer, key string) error
}

// holds reports whether the later messages of a job's key must stay behind it when it is parked.
func (j *job) holds() bool { return j.key != "" && j.route != nil && j.route.options.hold }

// failure returns a failed delivery in the form of the failure store.
func (c *Consumer) failure(j *job, v verdict) Failure {
	m := j.d.Message
	m.Headers = withoutHistory(m.Headers)
	f := Failure{
		Message: m, History: j.d.history, Key: j.key, Identity: boundedText(Identity(&m)), Begun: v.begun,
		State: FailureWaiting, After: v.wait,
	}
	f.RepeatOf = repeatOf(c.cfg.Name, &m)
	if v.action != actAppend {
		f.Fingerprint = fingerprint(j.d, v.err)
	}
	if v.pause != "" {
		f.Fingerprint = v.pause
	}
	if v.action == actPark {
		f.State, f.Holds, f.After = FailureParked, j.holds(), 0
		f.History.Reason = parkReason(v.err)
	}
	return f
}

// withoutHistory returns headers without the history headers of retry queues: a row has its history in columns.
func withoutHistory(headers map[string]any) map[string]any {
	out := maps.Clone(headers)
	for name := range out {
		if isHistoryHeader(name) || isBrokerHeader(name) {
			delete(out, name)
		}
	}
	return out
}

// repeatOf returns the digest that identifies redeliveries of the same message, or nil for a message without an
// identity: two equal commands are legal. The identity alone would merge different messages of publishers that reuse ids.
func repeatOf(consumer string, m *Message) []byte {
	id := Identity(m)
	if id == "" {
		return nil
	}
	h := sha256.New()
	for _, part := range [...]string{consumer, id, m.Exchange, m.RoutingKey} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	h.Write(m.Body)
	return h.Sum(nil)
}

// boundedLimit is the longest text that every database accepts in an index.
const boundedLimit = 1000

// boundedText returns s if every database accepts it in an index, else a digest of it.
func boundedText(s string) string {
	if len(s) <= boundedLimit && CleanText(s, boundedLimit) == s {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// isHistoryHeader reports whether a header is set by retry or parked queues of parley.
func isHistoryHeader(name string) bool {
	switch name {
	case headerExchange, headerRoutingKey, headerAttempts, headerRetries, headerReplays, headerFirstError, headerLastError,
		headerFirstTime, headerLastTime, headerReason, headerSignature, headerBegun, headerAppID, headerExpiration, headerUserID,
		headerParkedID, headerParkedTurn, headerUnverified:
		return true
	}
	return false
}
