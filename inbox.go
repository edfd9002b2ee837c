package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-go/parley/internal/failpoint"
)

// An Inbox gives a message an exactly-once effect, however often it is delivered: the
// message's identity is recorded in the handler's transaction.
//
// Effects outside that transaction (HTTP, mail) are not covered: pass the message's id
// on as an idempotency key.
type Inbox[Tx any] struct {
	store InboxStore[Tx]
	cfg   InboxConfig
}

// InboxConfig holds the choices for an inbox.
type InboxConfig struct {
	// Consumer is the consumer's name. Consumers that share a database need different names;
	// all processes of one consumer use the same name. Required.
	Consumer string
	// Retention is how long the consumer's identities are kept. It must exceed the time that a message can stay in
	// queues and parked; otherwise the message may have its effect twice. Default: 7 days.
	Retention time.Duration
	// SweepInterval is how often Run deletes older identities. Default: 1m.
	SweepInterval time.Duration
	// Logger receives log records. Default: slog.Default().
	Logger *slog.Logger
}

// NewInbox returns an inbox on store. Handlers registered with it run in a transaction.
// Run deletes old identities: start it beside the consumer.
func NewInbox[Tx any](store InboxStore[Tx], cfg *InboxConfig) (*Inbox[Tx], error) {
	in := &Inbox[Tx]{store: store}
	if cfg != nil {
		in.cfg = *cfg
	}
	var errs []error
	if isNil(store) {
		errs = append(errs, errors.New("parley: NewInbox: the store must not be nil"))
	}
	if in.cfg.Consumer == "" {
		errs = append(errs, errors.New("parley: InboxConfig.Consumer must be set: the name of the consumer, such as its queue"))
	}
	if err := checkName("InboxConfig.Consumer", in.cfg.Consumer); err != nil {
		errs = append(errs, fmt.Errorf("parley: %w", err))
	}
	setDefault(&in.cfg.Retention, 7*24*time.Hour, "InboxConfig.Retention", &errs)
	setDefault(&in.cfg.SweepInterval, time.Minute, "InboxConfig.SweepInterval", &errs)
	if in.cfg.Logger == nil {
		in.cfg.Logger = slog.Default()
	}
	return in, errors.Join(errs...)
}

// Handler returns a handler that runs h in a transaction, once for each message: begin, record
// the identity, call h, commit. A message whose identity is known is settled without calling h.
func (in *Inbox[Tx]) Handler(h func(ctx context.Context, tx Tx, d *Delivery) error) Handler {
	needInbox("Inbox.Handler", in)
	return HandlerFunc(func(ctx context.Context, d *Delivery) error {
		err := in.once(ctx, d, Identity(&d.Message), func(ctx context.Context, tx Tx) error { return h(ctx, tx, d) })
		if errors.Is(err, ErrDuplicate) {
			return Ignore(err)
		}
		return err
	})
}

// once runs fn in a transaction, once for each identity. If d comes from a failure store in the same database, the transaction
// also deletes its row.
func (in *Inbox[Tx]) once(ctx context.Context, d *Delivery, identity string, fn func(ctx context.Context, tx Tx) error) error {
	rows := in.rowStore(d)
	err := in.store.Once(ctx, in.cfg.Consumer, boundedText(identity), func(ctx context.Context, tx Tx) error {
		if rows != nil {
			// Before the handler: a slower process with the same row waits here, and then rolls back.
			if err := rows.DoneIn(ctx, tx, d.row.FailureClaim); err != nil {
				return err
			}
			if err := failpoint.Hit("inbox.done"); err != nil {
				return err
			}
		}
		return fn(ctx, tx)
	})
	if err == nil && rows != nil {
		d.row.deleted.Store(true)
	}
	return err
}

// rowStore returns the failure store that d was claimed from, if the handler's transaction can delete the row.
func (in *Inbox[Tx]) rowStore(d *Delivery) FailureTx[Tx] {
	if d.row == nil {
		return nil
	}
	if store, ok := d.row.store.(FailureTx[Tx]); ok && store.SharesTx(in.store) {
		return store
	}
	return nil
}

// sweepLimit is how many identities one step of a sweep deletes: a long DELETE would
// hold locks that deliveries wait for.
const sweepLimit = 1000

// Run deletes the consumer's identities that are older than the retention, in small steps, until ctx ends. Those of a consumer that
// runs nowhere stay: docs/operations.md says how to delete them.
func (in *Inbox[Tx]) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		timed, cancel := context.WithTimeout(ctx, databaseTimeout) // a connection that was cut silently must not stop the sweep for long
		n, err := in.store.SweepInbox(timed, in.cfg.Consumer, in.cfg.Retention, sweepLimit)
		cancel()
		if err != nil && ctx.Err() == nil {
			in.cfg.Logger.Warn("inbox: deleting old entries failed", "consumer", in.cfg.Consumer, "err", err)
		}
		pause := 100 * time.Millisecond
		if n < sweepLimit {
			pause = in.cfg.SweepInterval/2 + jitter(in.cfg.SweepInterval)
		}
		sleep(ctx, pause)
	}
	return nil
}

// OnTx handles events of type e with an exactly-once effect. handle runs in a transaction
// that also records the message in the inbox. If it publishes through outbox.In(tx), the
// whole step is atomic.
func OnTx[Tx, T any](r *Router, in *Inbox[Tx], e *EventType[T], handle func(ctx context.Context, tx Tx, e Event[T]) error, options ...RouteOption) {
	needInbox("OnTx", in)
	h := in.Handler(func(ctx context.Context, tx Tx, d *Delivery) error {
		event, err := decodeEvent[T](e.codec, d)
		if err != nil {
			return err
		}
		return handle(ctx, tx, event)
	})
	r.route(routeSpec{exchange: e.aggregate, key: e.name, exact: true}, h, options)
}

// needInbox panics at registration. A nil inbox would panic at each delivery, until its retries are used up.
func needInbox[Tx any](function string, in *Inbox[Tx]) {
	if in == nil {
		panic("parley: " + function + ": the inbox is nil (a service has an inbox only with a database: set database.url)")
	}
}

// isNil reports whether v is nil, or an interface that holds a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// Identity returns the text by which an inbox recognises duplicates of a message. It is the message id. Messages
// of the Python library have none; for an event or call it is then the id and time in
// its body. The time is part of it because ids repeat after a database restore. It is "" for a
// command without a message id: two equal commands are legal.
func Identity(m *Message) string {
	if m.ID != "" {
		if !utf8.ValidString(m.ID) || strings.ContainsRune(m.ID, 0) {
			return "quoted-id:" + strconv.Quote(m.ID) // other clients may send any bytes, databases accept only text
		}
		return "id:" + m.ID
	}
	if f, err := readEvent(m.Body); err == nil && f.id != 0 && !f.time.IsZero() {
		return identityText("event", m, f.id, f.time)
	}
	if id, at, ok := callIdentity(m.Body); ok {
		return identityText("call", m, id, at)
	}
	return ""
}

func identityText(kind string, m *Message, id int64, at time.Time) string {
	part := strconv.Quote
	return kind + ":" + part(m.AppID) + part(m.Exchange) + part(m.RoutingKey) + strconv.FormatInt(id, 10) + "@" + formatMicros(at)
}
