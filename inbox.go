package parley

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An Inbox makes the effect of a message happen once, however often it is delivered: the
// message's identity is recorded in the transaction that the handler works in.
//
// What the handler does outside of that transaction (HTTP, mail) is not covered:
// pass the message's id on as an idempotency key.
type Inbox[Tx any] struct {
	store InboxStore[Tx]
	cfg   InboxConfig
}

// InboxConfig holds the choices for an inbox.
type InboxConfig struct {
	// Consumer names who has seen a message: consumers that share a database need
	// different names, the processes of one consumer the same. Required.
	Consumer string
	// Retention is how long identities are kept: longer than a message can stay in queues and
	// parked, or it has its effect a second time. Default: 7 days.
	Retention time.Duration
	// SweepInterval is how often Run deletes what is older. Default: 1m.
	SweepInterval time.Duration
	// Logger gets what the operator should know. Default: slog.Default().
	Logger *slog.Logger
}

// NewInbox returns an inbox on store. Handlers that are registered with it get a transaction;
// run the inbox itself, beside the consumer, to forget old identities.
func NewInbox[Tx any](store InboxStore[Tx], cfg *InboxConfig) (*Inbox[Tx], error) {
	in := &Inbox[Tx]{store: store}
	if cfg != nil {
		in.cfg = *cfg
	}
	var errs []error
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
// the identity, h, commit. A message whose identity is known is settled without h.
func (in *Inbox[Tx]) Handler(h func(ctx context.Context, tx Tx, d *Delivery) error) Handler {
	return HandlerFunc(func(ctx context.Context, d *Delivery) error {
		err := in.store.Once(ctx, in.cfg.Consumer, Identity(&d.Message), func(ctx context.Context, tx Tx) error {
			return h(ctx, tx, d)
		})
		if errors.Is(err, ErrDuplicate) {
			return Ignore(err)
		}
		return err
	})
}

// sweepLimit is how many identities one step of a sweep deletes: a long DELETE would
// hold locks that deliveries wait for.
const sweepLimit = 1000

// Run forgets identities that are older than the retention, in small steps, until ctx ends.
func (in *Inbox[Tx]) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := in.store.SweepInbox(ctx, in.cfg.Retention, sweepLimit)
		if err != nil && ctx.Err() == nil {
			in.cfg.Logger.Warn("inbox: cannot sweep", "consumer", in.cfg.Consumer, "err", err)
		}
		pause := 100 * time.Millisecond
		if n < sweepLimit {
			pause = in.cfg.SweepInterval/2 + jitter(in.cfg.SweepInterval)
		}
		sleep(ctx, pause)
	}
	return nil
}

// OnTx handles events of type e with the effect of each happening once: handle works in
// a transaction that also records the message in the inbox. Publish within it, through
// outbox.In(tx), and the whole step is atomic.
func OnTx[Tx, T any](r *Router, in *Inbox[Tx], e *EventType[T], handle func(ctx context.Context, tx Tx, e Event[T]) error, options ...RouteOption) {
	h := in.Handler(func(ctx context.Context, tx Tx, d *Delivery) error {
		event, err := decodeEvent[T](e.codec, d)
		if err != nil {
			return err
		}
		return handle(ctx, tx, event)
	})
	r.route(routeSpec{exchange: e.aggregate, key: e.name, exact: true}, h, options)
}

// Identity returns what makes two deliveries the same message to an inbox: the message id, or,
// as the Python library sends none, what an event or call is unique by in its
// publisher's database. Times are part of it: ids come again after a restore. It is "" for a
// command without a message id: two equal commands are legal.
func Identity(m *Message) string {
	if m.ID != "" {
		if !utf8.ValidString(m.ID) || strings.ContainsRune(m.ID, 0) {
			return "quoted-id:" + strconv.Quote(m.ID) // foreign clients send any bytes, databases take only text
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
