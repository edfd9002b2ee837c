package parley

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley/internal/failpoint"
)

// An Outbox records messages in a table of the caller's database, within the
// caller's transaction. A [Relay] moves them to the broker. Tx is the driver's transaction
// type: pgx.Tx, *sql.Tx or a type that wraps it, *memory.Tx.
type Outbox[Tx any] struct {
	store OutboxStore[Tx]
	cfg   OutboxConfig
}

// OutboxConfig holds the choices for an outbox.
type OutboxConfig struct {
	// AppID names this service in every message. Default: none.
	AppID string
	// CorrelationID returns the correlation id of a message, for services that keep their
	// own in the context. Default: the function CorrelationID.
	CorrelationID func(ctx context.Context) string
	// KeyRules are exceptions from the renaming of keys in payloads, for services that share messages with a Django
	// project that has set JSON_CAMEL_CASE. Default: none.
	KeyRules *KeyRules
	// Propagate adds headers from the context, for example the trace context. It is
	// called once for each message. Default: none.
	Propagate func(ctx context.Context, set func(name, value string))
}

// NewOutbox returns an outbox that records into store.
func NewOutbox[Tx any](store OutboxStore[Tx], cfg *OutboxConfig) (*Outbox[Tx], error) {
	o := &Outbox[Tx]{store: store}
	if cfg != nil {
		o.cfg = *cfg
	}
	if isNil(store) {
		return nil, errors.New("parley: NewOutbox: the store must not be nil")
	}
	if o.cfg.CorrelationID == nil {
		o.cfg.CorrelationID = CorrelationID
	}
	if err := checkName("OutboxConfig.AppID", o.cfg.AppID); err != nil {
		return nil, fmt.Errorf("parley: %w", err)
	}
	return o, nil
}

// needOutbox panics at registration; see needInbox.
func needOutbox[Tx any](function string, out *Outbox[Tx]) {
	if out == nil {
		panic("parley: " + function + ": the outbox is nil (a service has an outbox only with a database: set database.url)")
	}
}

// In returns the outbox within the transaction tx. It is valid until tx ends.
func (o *Outbox[Tx]) In(tx Tx) *TxOutbox {
	return &TxOutbox{ops: boundTx[Tx]{o.store, tx}, cfg: &o.cfg}
}

// A TxOutbox is an outbox within one transaction. Publish, SendTx, Ask and Cancel
// take it. It is as safe for concurrent use as the transaction is.
type TxOutbox struct {
	ops txOps
	cfg *OutboxConfig
}

// txOps hides the transaction's type, so that only In has a type parameter.
type txOps interface {
	insert(ctx context.Context, records []Record) error
	cancel(ctx context.Context, s Selection) (int, error)
	reschedule(ctx context.Context, s Selection, due time.Time) (int, error)
	scheduled(ctx context.Context, s Selection, limit int) ([]Record, error)
}

type boundTx[Tx any] struct {
	store OutboxStore[Tx]
	tx    Tx
}

func (b boundTx[Tx]) insert(ctx context.Context, records []Record) error {
	return b.store.Insert(ctx, b.tx, records)
}

func (b boundTx[Tx]) cancel(ctx context.Context, s Selection) (int, error) {
	return b.store.Cancel(ctx, b.tx, s)
}

func (b boundTx[Tx]) reschedule(ctx context.Context, s Selection, due time.Time) (int, error) {
	return b.store.Reschedule(ctx, b.tx, s, due)
}

func (b boundTx[Tx]) scheduled(ctx context.Context, s Selection, limit int) ([]Record, error) {
	return b.store.Scheduled(ctx, b.tx, s, limit)
}

// Record writes the records, in their order, with one statement, and returns
// their ids. An id is 0 if WithUnlessTags made the record a no-op. Two records with one message id are ErrInvalid,
// because an inbox ignores the second message as a duplicate.
func (t *TxOutbox) Record(ctx context.Context, records ...Record) ([]int64, error) {
	if len(records) == 0 {
		return nil, nil
	}
	for i := range records {
		if err := t.complete(ctx, &records[i]); err != nil {
			return nil, err
		}
	}
	if err := checkMessageIDs(records); err != nil {
		return nil, err
	}
	err := failpoint.Hit("outbox.inserting")
	if err == nil {
		err = t.ops.insert(ctx, records)
	}
	if err == nil {
		err = failpoint.Hit("outbox.inserted")
	}
	if err != nil {
		return nil, fmt.Errorf("record in outbox: %w", err)
	}
	ids := make([]int64, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	return ids, nil
}

// complete adds what the context and the outbox's configuration provide.
func (t *TxOutbox) complete(ctx context.Context, r *Record) error {
	if r.AppID == "" {
		r.AppID = t.cfg.AppID
	}
	if r.CorrelationID == "" {
		r.CorrelationID = t.cfg.CorrelationID(ctx)
	}
	if t.cfg.Propagate != nil {
		t.cfg.Propagate(ctx, r.SetHeader)
	}
	return errors.Join(checkMessage(&r.Message), checkTags(r.Tags), checkTags(r.UnlessTags), checkDue(r.DueAt), checkObject(r.Kind, r.Body))
}

// checkMessageIDs returns an error if two records have the same message id.
func checkMessageIDs(records []Record) error {
	if len(records) == 1 {
		return nil
	}
	seen := make(map[string]bool, len(records))
	for i := range records {
		id := records[i].Message.ID
		if id != "" && seen[id] {
			return &InvalidError{What: "message id", Value: id,
				Problem: "is that of two records, and an inbox would ignore the second as a duplicate: give each message its own id"}
		}
		seen[id] = true
	}
	return nil
}

func checkDue(due time.Time) error {
	if due.IsZero() {
		return nil // due at once
	}
	return checkTime("DueAt", due)
}

// An Addressed contract has an exchange and a routing key: *EventType,
// *CommandType, *CallType.
type Addressed interface {
	Exchange() string
	RoutingKey() string
}

// Cancel deletes the scheduled messages of contract c that carry at least the given
// tags, and returns how many. A message that was counted never arrives. A message that
// a relay is just publishing is not counted: Cancel waits for it, unless
// that relay has died or its broker takes longer than its HoldLimit. The
// cancellation is undone if the transaction rolls back.
func Cancel(ctx context.Context, in *TxOutbox, c Addressed, tags Tags) (int, error) {
	s, err := selection(c, tags)
	if err == nil {
		var n int
		if n, err = in.ops.cancel(ctx, s); err == nil {
			return n, nil
		}
	}
	return 0, wrap("cancel", c.Exchange(), c.RoutingKey(), err)
}

// Reschedule moves the scheduled messages of contract c that carry at least the
// given tags to another time, and returns how many. The time inside an event's
// body does not change.
func Reschedule(ctx context.Context, in *TxOutbox, c Addressed, tags Tags, to time.Time) (int, error) {
	s, err := selection(c, tags)
	if err == nil && to.IsZero() {
		err = &InvalidError{What: "time", Problem: "must not be zero: to cancel use Cancel"}
	}
	if err == nil {
		err = checkTime("time", to)
	}
	if err == nil {
		var n int
		if n, err = in.ops.reschedule(ctx, s, to); err == nil {
			return n, nil
		}
	}
	return 0, wrap("reschedule", c.Exchange(), c.RoutingKey(), err)
}

// Scheduled lists the scheduled messages of contract c that carry at least the
// given tags, soonest first. Nil tags match all. limit must be positive.
func Scheduled(ctx context.Context, in *TxOutbox, c Addressed, tags Tags, limit int) ([]Record, error) {
	s := Selection{Exchange: c.Exchange(), RoutingKey: c.RoutingKey()}
	var err error
	if len(tags) > 0 {
		s.Tags, err = tags.strings()
	}
	if limit <= 0 {
		err = errors.Join(err, &InvalidError{What: "limit", Problem: "must be positive"})
	}
	if err == nil {
		var records []Record
		if records, err = in.ops.scheduled(ctx, s, limit); err == nil {
			return records, nil
		}
	}
	return nil, wrap("list scheduled", c.Exchange(), c.RoutingKey(), err)
}

// CancelID deletes the scheduled message with the id that Publish has set, and reports whether there was one. It is
// [Cancel] for one message: it is for operators, who see the ids in lists.
func CancelID(ctx context.Context, in *TxOutbox, id int64) (bool, error) {
	n, err := 0, checkID(id)
	if err == nil {
		n, err = in.ops.cancel(ctx, Selection{ID: id})
	}
	if err != nil {
		return false, fmt.Errorf("parley: cancel scheduled message %d: %w", id, err)
	}
	return n > 0, nil
}

// RescheduleID moves the scheduled message with an id to another time, and reports whether there was one; see [Reschedule]
// and [CancelID].
func RescheduleID(ctx context.Context, in *TxOutbox, id int64, to time.Time) (bool, error) {
	n, err := 0, checkID(id)
	switch {
	case err != nil:
	case to.IsZero():
		err = &InvalidError{What: "time", Problem: "must not be zero: to cancel use CancelID"}
	default:
		err = checkTime("time", to)
	}
	if err == nil {
		n, err = in.ops.reschedule(ctx, Selection{ID: id}, to)
	}
	if err != nil {
		return false, fmt.Errorf("parley: reschedule message %d: %w", id, err)
	}
	return n > 0, nil
}

// ScheduledID returns the scheduled message with an id. ok is false if there is none: it was sent or cancelled.
func ScheduledID(ctx context.Context, in *TxOutbox, id int64) (r Record, ok bool, err error) {
	var found []Record
	if err = checkID(id); err == nil {
		found, err = in.ops.scheduled(ctx, Selection{ID: id}, 1)
	}
	if err != nil {
		return r, false, fmt.Errorf("parley: read scheduled message %d: %w", id, err)
	}
	if len(found) == 0 {
		return r, false, nil
	}
	return found[0], true, nil
}

func checkID(id int64) error {
	if id < 1 {
		return &InvalidError{What: "id", Value: fmt.Sprint(id), Problem: "must be positive"}
	}
	return nil
}

func selection(c Addressed, tags Tags) (Selection, error) {
	t, err := tags.strings()
	return Selection{Exchange: c.Exchange(), RoutingKey: c.RoutingKey(), Tags: t}, err
}
