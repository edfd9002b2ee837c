//go:build unix

package faulttests_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// poisonID is the prefix of the id of each unreadable message.
const poisonID = "poison-"

var errPlanned = errors.New("planned failure")

// A poison is a message that cannot be handled.
type poison struct {
	kind string
	// body returns the body of event number n.
	body func(n int) string
	// reason is a part of the reason of the parked message.
	reason string
	// share is the number of these messages among 10,000.
	share int
}

const fine = `{"eventId": %d, "eventTime": "2026-01-02T03:04:05.000000Z", "eventType": "noted", "aggregate": "a", "payload": {"number": %d}}`

func bodyOf(payload string) func(n int) string {
	return func(n int) string {
		return strings.Replace(fmt.Sprintf(fine, n, n), fmt.Sprintf(`{"number": %d}`, n), payload, 1)
	}
}

// The malformed bodies never reach a handler; the others have a word for the handler.
func poisons() []poison {
	word := func(w string) func(int) string {
		return func(n int) string { return bodyOf(fmt.Sprintf(`{"number": %d, "fill": %q}`, n, w))(n) }
	}
	return []poison{
		{"bad JSON", func(int) string { return `{"eventId": 1, "payload": {` }, "malformed body", 17},
		{"nested 100,000 deep", bodyOf(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)), "malformed", 4},
		{"8 MiB and a byte", func(n int) string {
			return fmt.Sprintf(fine, n, n) + strings.Repeat(" ", parley.MaxBody+1-len(fmt.Sprintf(fine, n, n)))
		}, "malformed", 2},
		{"NaN", bodyOf(`{"number": NaN}`), "malformed", 17},
		{"handler error", word("error"), errPlanned.Error(), 20},
		{"panic", word("panic"), "handler panicked: planned", 20},
		{"timeout", word("timeout"), "handler did not return in time", 20},
	}
}

// publishPoison publishes 10,000 messages without parley, with the poison messages spread evenly. It returns the kind of
// each poison message by its message id.
func (l *lab) publishPoison(total int) map[string]poison {
	l.t.Helper()
	var bad []poison
	all := poisons()
	for i := 0; len(bad) < 100; i++ { // one of each kind in turn
		p := &all[i%len(all)]
		if p.share > 0 {
			p.share--
			bad = append(bad, *p)
		}
	}
	kinds := map[string]poison{}
	err := l.onBroker(func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		var last *amqp.DeferredConfirmation
		for n := range total {
			id, body := fmt.Sprint(poisonID, n), fmt.Sprintf(fine, n, n)
			if gap := total / len(bad); n%gap == gap-1 {
				kinds[id] = bad[n/gap]
				body = kinds[id].body(n)
			}
			var err error
			last, err = ch.PublishWithDeferredConfirm(l.exchanges[0], "noted", true, false,
				amqp.Publishing{MessageId: id, ContentType: parley.ContentType, DeliveryMode: amqp.Persistent, Body: []byte(body)})
			if err != nil {
				return err
			}
		}
		_, err := last.WaitContext(l.t.Context())
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return kinds
}

// diner counts the outcomes of a consumer.
type diner struct {
	mu      sync.Mutex // guards the fields below
	starts  int
	handled map[string]int
	parked  map[string]string // message id -> last error
}

func (d *diner) hooks() parley.ConsumerHooks {
	return parley.ConsumerHooks{
		Start: func(*parley.Delivery) { d.mu.Lock(); d.starts++; d.mu.Unlock() },
		Done: func(r parley.ConsumerReport) {
			d.mu.Lock()
			defer d.mu.Unlock()
			switch r.Outcome {
			case parley.OutcomeHandled:
				d.handled[r.Delivery.ID]++
			case parley.OutcomeParked:
				d.parked[r.Delivery.ID] = r.Err.Error()
			}
		},
	}
}

func (d *diner) done() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.handled) + len(d.parked)
}

// dine starts a consumer. Received messages above the publication limit still have to reach the parked queue.
func (l *lab) dine(d *diner, r *parley.Router) (stop func()) {
	l.t.Helper()
	d.handled, d.parked = map[string]int{}, map[string]string{}
	c, err := parley.NewConsumer(l.direct(), r, &parley.ConsumerConfig{
		Queue: l.queue, Concurrency: 8, Prefetch: 200, HandlerTimeout: 250 * time.Millisecond, Logger: quiet, Hooks: d.hooks(),
		Retry: parley.RetryPolicy{Immediate: []time.Duration{10 * time.Millisecond}, Delays: []time.Duration{time.Second}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return start(l.t, "consumer", c)
}

func TestPoisonIsParkedWithItsReasonAndHoldsUpNothing(t *testing.T) {
	l := newLab(t, 1)
	const total = 10_000
	kinds := l.publishPoison(total)
	r := parley.NewRouter()
	parley.On(r, l.events[0], func(ctx context.Context, e parley.Event[fact]) error {
		switch e.Payload.Fill {
		case "error":
			return errPlanned
		case "panic":
			panic("planned")
		case "timeout":
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	var first diner
	begin := time.Now()
	stop := l.dine(&first, r)
	t.Cleanup(func() {
		if t.Failed() {
			first.mu.Lock()
			defer first.mu.Unlock()
			for id, p := range kinds {
				if _, ok := first.parked[id]; !ok {
					t.Logf("message %q (%s) was never parked", id, p.kind)
				}
			}
		}
	})
	eventually(t, "all messages are handled or parked", func() bool { return first.done() == total })
	took := time.Since(begin)
	stop()
	redelivered := first.starts - total
	t.Logf("%d handled and %d parked in %v, %d redeliveries", len(first.handled), len(first.parked), took, redelivered)
	for id, p := range kinds {
		if reason, ok := first.parked[id]; !ok || !strings.Contains(reason, p.reason) {
			t.Errorf("%s (%s) was parked for %q (%v), want a reason with %q", id, p.kind, reason, ok, p.reason)
		}
	}
	if len(first.parked) != len(kinds) || len(first.handled) != total-len(kinds) {
		t.Errorf("%d parked and %d handled, want %d and %d", len(first.parked), len(first.handled), len(kinds), total-len(kinds))
	}
	if redelivered >= 200 {
		t.Errorf("%d redeliveries, want fewer than 200", redelivered)
	}
	l.checkParked(kinds)
	l.replayFixed(kinds)
	again := 0
	for _, n := range first.handled {
		again += n - 1
	}
	if again != 0 {
		t.Errorf("%d messages were handled twice", again)
	}
	counts.add(t, row{fault: "1 % poison of 7 kinds", times: len(kinds), events: total, lost: total - first.done(), doubled: again})
}

// checkParked checks that each poison message is in the parked queue once, with its reason and body.
func (l *lab) checkParked(kinds map[string]poison) {
	l.t.Helper()
	seen := map[string]int{}
	err := parley.VisitParked(l.t.Context(), l.direct(), l.queue, nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		seen[m.ID]++
		p, ok := kinds[m.ID]
		switch {
		case !ok:
			return parley.ParkedKeep, fmt.Errorf("message %q is parked but is valid", m.ID)
		case !m.Signed || m.Exchange != l.exchanges[0] || m.RoutingKey != "noted":
			return parley.ParkedKeep, fmt.Errorf("message %q is parked without its address or signature", m.ID)
		case !strings.Contains(m.History.Reason, p.reason):
			return parley.ParkedKeep, fmt.Errorf("message %q (%s) is parked for %q", m.ID, p.kind, m.History.Reason)
		case !bytes.HasPrefix(m.Body, []byte("{")):
			return parley.ParkedKeep, errors.New("a parked message has another body")
		}
		return parley.ParkedKeep, nil
	})
	if err != nil {
		l.t.Error(err)
	}
	for id := range kinds {
		if seen[id] != 1 {
			l.t.Errorf("message %q is in the parked queue %d times, want once", id, seen[id])
		}
	}
}

// replayFixed replays the parked messages to a handler that accepts every message.
func (l *lab) replayFixed(kinds map[string]poison) {
	l.t.Helper()
	n, err := parley.ReplayParked(l.t.Context(), l.direct(), l.queue, nil)
	if err != nil || n != len(kinds) {
		l.t.Fatalf("%d replayed (%v), want %d", n, err, len(kinds))
	}
	r := parley.NewRouter()
	r.HandleFunc(l.exchanges[0], "noted", func(context.Context, *parley.Delivery) error { return nil })
	var second diner
	stop := l.dine(&second, r)
	eventually(l.t, "the replayed messages are handled", func() bool { return second.done() == len(kinds) })
	stop()
	for id := range kinds {
		if second.handled[id] != 1 {
			l.t.Errorf("replayed message %q was handled %d times, want once", id, second.handled[id])
		}
	}
	for _, queue := range []string{l.queue, l.queue + ".parked", l.queue + ".retry.1s"} {
		if left, err := l.ready(queue); err != nil || left != 0 {
			l.t.Errorf("%d messages remain in queue %q (%v)", left, queue, err)
		}
	}
}
