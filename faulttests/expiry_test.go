//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// expiryForms are the formats of senders for a time: the Python library omits the fraction at a whole second.
var expiryForms = []string{
	"2006-01-02T15:04:05Z", "2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05.000000Z", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00",
}

// errand is the name of the command.
const errand = "run"

// A limited message has an expiry. The times are by the receiver's clock: before and after it checked the expiry.
type limited struct {
	expires         time.Time
	started, ended  time.Time
	handled, lapsed int
}

// An almanac keeps the messages by their number, which is the correlation id too.
type almanac struct {
	mu       sync.Mutex // guards the field below
	messages map[int64]*limited
}

func (a *almanac) of(d *parley.Delivery) *limited {
	number, _ := strconv.ParseInt(d.CorrelationID, 10, 64) // another message has no number
	if m := a.messages[number]; m != nil {
		return m
	}
	return &limited{}
}

func (a *almanac) hooks() parley.ConsumerHooks {
	return parley.ConsumerHooks{
		Start: func(d *parley.Delivery) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.of(d).started = time.Now()
		},
		Done: func(r parley.ConsumerReport) {
			a.mu.Lock()
			defer a.mu.Unlock()
			m := a.of(r.Delivery)
			m.ended = time.Now()
			switch r.Outcome {
			case parley.OutcomeHandled:
				m.handled++
			case parley.OutcomeExpired:
				m.lapsed++
			}
		},
	}
}

// settled counts the messages that were handled and those that had expired.
func (a *almanac) settled() (handled, lapsed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.messages {
		handled, lapsed = handled+m.handled, lapsed+m.lapsed
	}
	return handled, lapsed
}

// The sender sets the expiry of a command by its own clock. The receiver compares the expiry with its clock and tolerates one
// second. After it was down it handles no expired message, and counts the ones that it skips.
func TestWhatExpiredWhileItsConsumerWasDownIsCountedAndNotRunWhateverTheSendersClockSaid(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2) // the service, and the address of replies
	now := time.Now().UTC().Truncate(time.Second)
	a := &almanac{messages: map[int64]*limited{}}
	for _, skew := range []time.Duration{-5 * time.Second, 0, 5 * time.Second} {
		for _, valid := range []time.Duration{time.Second, time.Minute} {
			l.publishLimited(a, now.Add(skew+valid))
		}
	}
	total := len(a.messages)
	eventually(t, "the messages that were valid for a second have expired", func() bool { return time.Since(now) > time.Second+parley.ExpirySkew })
	stop := l.runErrands(a)
	eventually(t, "all messages are settled", func() bool { handled, lapsed := a.settled(); return handled+lapsed >= total })
	stop()
	handled, lapsed := a.settled()
	if handled+lapsed != total {
		t.Errorf("%d messages were handled and %d skipped, of %d", handled, lapsed, total)
	}
	e := l.evidence()
	for number, m := range a.messages {
		end := m.expires.Add(parley.ExpirySkew)
		switch {
		case m.handled > 0 && m.started.After(end):
			t.Errorf("message %d was handled %v late", number, m.started.Sub(end))
		case m.handled == 0 && m.ended.Before(end):
			t.Errorf("message %d was skipped %v early", number, end.Sub(m.ended))
		case m.handled > 0:
			e.ledger = append(e.ledger, entry{number: number, fate: committed})
		}
	}
	if want := total / 3; handled < want || lapsed < want { // valid for a minute, and for a second by a clock that is not fast
		t.Errorf("%d messages were handled and %d skipped, want at least %d of each", handled, lapsed, want)
	}
	if replies := l.count("parley_outbox"); replies != e.calls(a) {
		t.Errorf("there are %d replies to the %d handled calls", replies, e.calls(a))
	}
	e.left = 0 // those replies
	f := e.inEffect()
	f.check(t, 0)
	counts.add(t, f.row("commands and calls that expired while their consumer was down, by clocks 5 s apart", lapsed))
}

// calls counts the calls in the ledger: they have the even numbers.
func (e evidence) calls(a *almanac) (n int) {
	for _, line := range e.ledger {
		if line.number%2 == 0 && a.messages[line.number].handled > 0 {
			n++
		}
	}
	return n
}

// publishLimited publishes commands and calls with an expiry, in every format.
func (l *lab) publishLimited(a *almanac, at time.Time) {
	l.t.Helper()
	err := l.onBroker(func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		for _, form := range expiryForms {
			text := at.Format(form)
			if form == time.RFC3339 {
				text = at.In(time.FixedZone("", 5*3600)).Format(form)
			}
			for _, key := range []string{errand, method} {
				number := l.number.Add(1)
				a.messages[number] = &limited{expires: at}
				body := fmt.Sprintf(`{"number": %d, "meta": {"expiredTime": %q}}`, number, text)
				if key == method {
					body = fmt.Sprintf(`{"id": %d, "data": {"number": %d}, "meta": {"time": %q, "replyTo": %q, "expiredTime": %q}}`,
						number, number, text, l.exchanges[1], text)
				}
				sent, err := ch.PublishWithDeferredConfirm(l.exchanges[0], key, true, false, amqp.Publishing{
					CorrelationId: strconv.FormatInt(number, 10), ContentType: parley.ContentType, DeliveryMode: amqp.Persistent, Body: []byte(body)})
				if err == nil {
					_, err = sent.WaitContext(l.t.Context())
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// runErrands runs a consumer for commands and calls.
func (l *lab) runErrands(a *almanac) (stop func()) {
	l.t.Helper()
	inbox, err := parley.NewInbox[pgx.Tx](l.store, &parley.InboxConfig{Consumer: l.queue})
	if err != nil {
		l.t.Fatal(err)
	}
	leave := func(ctx context.Context, tx pgx.Tx, number int64) error {
		_, err := tx.Exec(ctx, "INSERT INTO effects (number, process) VALUES ($1, 0)", number)
		return err
	}
	r := parley.NewRouter()
	parley.OnCommandTx(r, inbox, parley.NewCommand[question](l.exchanges[0], errand), func(ctx context.Context, tx pgx.Tx, c parley.Command[question]) error {
		return leave(ctx, tx, c.Args.Number)
	})
	asked := parley.NewCall[question, answer](l.exchanges[0], method)
	parley.OnCall(r, inbox, l.outbox, asked, func(ctx context.Context, tx pgx.Tx, c parley.Call[question]) (answer, error) {
		return answer{"done"}, leave(ctx, tx, c.Data.Number)
	})
	c, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{Queue: l.queue, Concurrency: 4, Logger: quiet, Hooks: a.hooks(), Retry: parley.NoRetry})
	if err != nil {
		l.t.Fatal(err)
	}
	return start(l.t, "consumer", c)
}
