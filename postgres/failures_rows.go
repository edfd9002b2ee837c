package postgres

import (
	"time"

	"github.com/parley-go/parley"
)

// failureColumns lists the columns that failureValues scans, of the row named f.
const failureColumns = "f.id, f.consumer, f.state, f.due_at, f.created_at, f.parked_at, f.holds, f.ordering_key, f.identity, f.claimed_by," +
	" f.begun, f.repeats, f.size, f.fingerprint, f.hops, f.attempts, f.replays, f.first_failure, f.last_failure," +
	" f.first_error, f.last_error, f.reason, f.exchange, f.routing_key, f.message_id, f.correlation_id, f.envelope"

// failureValues holds the scanned columns of a row.
type failureValues struct {
	id                       int64
	read                     parley.FailureRow
	due, parked, first, last *time.Time
	exchange, routingKey     string
	messageID, correlationID string
	envelope                 []byte
}

func (v *failureValues) targets() []any {
	r := &v.read
	h := &r.History
	return []any{
		&v.id, &r.Consumer, (*string)(&r.State), &v.due, &r.CreatedAt, &v.parked, &r.Holds, &r.Key, &r.Identity, &r.ClaimedBy,
		&r.Begun, &r.Repeats, &r.Size, &r.Fingerprint, &h.Retries, &h.Attempts, &h.Replays, &v.first, &v.last,
		&h.FirstError, &h.LastError, &h.Reason, &v.exchange, &v.routingKey, &v.messageID, &v.correlationID, &v.envelope,
	}
}

// row returns the row without its body. If the envelope is unreadable, the message is built from the other columns.
func (v *failureValues) row() (parley.FailureRow, error) {
	r := v.read
	r.ID = v.id
	r.DueAt, r.ParkedAt, r.CreatedAt = timeOf(v.due), timeOf(v.parked), r.CreatedAt.UTC()
	r.History.FirstFailure, r.History.LastFailure = timeOf(v.first), timeOf(v.last)
	var err error
	if r.Message, err = parley.DecodeEnvelope(v.envelope); err != nil {
		r.Message = parley.Message{Exchange: v.exchange, RoutingKey: v.routingKey, ID: v.messageID, CorrelationID: v.correlationID}
	}
	return r, err
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
