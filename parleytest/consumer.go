package parleytest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// TestConsumer runs each promise about consuming that needs a real broker as a subtest: retries through
// retry queues, parking, replay, order and shutdown. open is as in [TestBroker].
func TestConsumer(t *testing.T, open func(t *testing.T) parley.Broker) {
	for _, p := range append(consumerPromises, parkedQueuePromises...) {
		t.Run(p.name, func(t *testing.T) {
			b := &brokerTest{T: t, broker: open(t), ctx: deadline(t)}
			c := &consumerTest{brokerTest: b, router: parley.NewRouter()}
			c.ex = b.exchange(parley.ExchangeTopic)
			c.q = b.bound(c.ex, "#")
			b.forget(parley.ParkedQueue(c.q), deleter.DeleteQueue)
			b.forget(c.q+".retry.1s", deleter.DeleteQueue)
			p.run(c)
		})
	}
}

type consumerPromise struct {
	name string
	run  func(c *consumerTest)
}

var consumerPromises = []consumerPromise{
	{"HandledDeliveriesAreGone", handledDeliveriesAreGone},
	{"RetriedDeliveryKeepsItsAddressAndProperties", retriedDeliveryKeepsItsAddress},
	{"ExhaustedDeliveryIsParkedWithItsHistory", exhaustedDeliveryIsParked},
	{"ReplayedDeliveryIsHandledUnderItsOwnAddress", replayedDeliveryIsHandled},
	{"KeptAndDroppedParkedMessages", keptAndDroppedParkedMessages},
	{"ForgedHistoryReachesNoHandler", forgedHistoryReachesNoHandler},
	{"RetryReachesNoOtherQueue", retryReachesNoOtherQueue},
	{"PoisonDoesNotStopTheOthers", poisonDoesNotStopTheOthers},
	{"KeysKeepTheirOrderThroughRetries", keysKeepTheirOrder},
	{"StopFinishesWhatRuns", stopFinishesWhatRuns},
	{"DeletedQueueIsSubscribedAgain", deletedQueueIsSubscribedAgain},
}

// A consumerTest is one subtest: a queue bound to an exchange, and a router.
type consumerTest struct {
	*brokerTest
	ex, q  string
	router *parley.Router

	mu   sync.Mutex // guards the field below
	seen []string
}

// shortRetry is a retry plan that is short enough for a test.
var shortRetry = parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second}}

// start runs a consumer until the returned function is called.
func (c *consumerTest) start(change ...func(cfg *parley.ConsumerConfig)) (stop func()) {
	c.Helper()
	cfg := &parley.ConsumerConfig{
		Queue: c.q, Retry: shortRetry, Logger: slog.New(slog.DiscardHandler),
		Topology: parley.Topology{Queues: []parley.Queue{{Name: c.q}}, Bindings: []parley.Binding{{Queue: c.q, Exchange: c.ex}}},
	}
	for _, f := range change {
		f(cfg)
	}
	consumer, err := parley.NewConsumer(c.broker, c.router, cfg)
	c.must(err, "make a consumer")
	ctx, cancel := context.WithCancel(c.ctx)
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			c.Errorf("consumer: %v", err)
		}
	})
	c.Cleanup(stop)
	eventually(c.T, "the consumer is subscribed", consumer.Subscribed)
	return stop
}

// note records a handled message.
func (c *consumerTest) note(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, s)
}

func (c *consumerTest) notes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

// send publishes a message with a body and a key for its order.
func (c *consumerTest) send(routingKey, body, key string) {
	c.Helper()
	m := parley.Message{Exchange: c.ex, RoutingKey: routingKey, ID: "id-" + body[:min(len(body), 100)], Body: []byte(body)}
	if key != "" {
		m.SetHeader(parley.HeaderKey, key)
	}
	c.publish(m)
}

// parked returns what is in the parked queue, and leaves it there.
func (c *consumerTest) parked() (out []parley.ParkedMessage) {
	c.Helper()
	err := parley.VisitParked(c.ctx, c.broker, c.q, nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		out = append(out, *m)
		return parley.ParkedKeep, nil
	})
	c.must(err, "visit parked messages")
	return out
}

func (c *consumerTest) eventuallyHandled(n int) {
	c.Helper()
	eventually(c.T, fmt.Sprintf("%d deliveries are handled", n), func() bool { return len(c.notes()) >= n })
}

func handledDeliveriesAreGone(c *consumerTest) {
	c.router.HandleFunc(c.ex, "", func(_ context.Context, d *parley.Delivery) error {
		c.note(string(d.Body))
		return nil
	})
	for i := range 50 {
		c.send("k", fmt.Sprint(i), "")
	}
	stop := c.start()
	c.eventuallyHandled(50)
	stop()
	sub := c.subscribe(c.q, 10)
	ctx, cancel := context.WithTimeout(c.ctx, glance)
	defer cancel()
	if d, err := sub.Next(ctx); err == nil {
		c.Errorf("%s is still in the queue", d.Body)
	}
}

func retriedDeliveryKeepsItsAddress(c *consumerTest) {
	c.router.HandleFunc(c.ex, "a.*", func(_ context.Context, d *parley.Delivery) error {
		c.note(fmt.Sprintf("%v %s %s %s %s %s", d.Exchange == c.ex, d.RoutingKey, d.ID, d.CorrelationID, d.Header("mine"), d.Body))
		if d.Attempt == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	c.start()
	m := parley.Message{Exchange: c.ex, RoutingKey: "a.b", ID: "id", CorrelationID: "c", Body: []byte(`{"a": 1}`)}
	m.SetHeader("mine", "kept")
	c.publish(m)
	c.eventuallyHandled(2)
	if got := c.notes(); got[0] != got[1] || got[0] != `true a.b id c kept {"a": 1}` {
		c.Errorf("the attempts saw %q", got)
	}
}

func exhaustedDeliveryIsParked(c *consumerTest) {
	c.router.HandleFunc(c.ex, "", func(context.Context, *parley.Delivery) error {
		c.note("tried")
		return errors.New("never")
	})
	c.start()
	c.send("a.b", "x", "")
	c.eventuallyHandled(2)
	var parked []parley.ParkedMessage
	eventually(c.T, "the message is parked", func() bool { parked = c.parked(); return len(parked) == 1 })
	m := parked[0]
	if m.Exchange != c.ex || m.RoutingKey != "a.b" || m.ID != "id-x" || !m.Signed || string(m.Body) != "x" {
		c.Errorf("parked %+v", m)
	}
	if h := m.History; h.Attempts != 2 || h.FirstError != "never" || h.Reason != "never" || h.FirstFailure.IsZero() {
		c.Errorf("history %+v", h)
	}
}

func replayedDeliveryIsHandled(c *consumerTest) {
	broken := true
	c.router.HandleFunc(c.ex, "a.b", func(_ context.Context, d *parley.Delivery) error {
		c.note(fmt.Sprint(d.RoutingKey, " ", d.ID, " replays ", d.History().Replays))
		if broken {
			return parley.Park(errors.New("broken"))
		}
		return nil
	})
	stop := c.start()
	c.send("a.b", "x", "")
	eventually(c.T, "the message is parked", func() bool { return len(c.parked()) == 1 })
	stop()
	broken = false
	c.start()
	n, err := parley.ReplayParked(c.ctx, c.broker, c.q, nil)
	if err != nil || n != 1 {
		c.Fatalf("replayed %d: %v", n, err)
	}
	c.eventuallyHandled(2)
	if got := c.notes(); got[1] != "a.b id-x replays 1" {
		c.Errorf("after the replay: %q", got)
	}
	if n := len(c.parked()); n != 0 {
		c.Errorf("%d messages are still parked", n)
	}
}

func keptAndDroppedParkedMessages(c *consumerTest) {
	c.park(5)
	err := parley.VisitParked(c.ctx, c.broker, c.q, nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		if string(m.Body) == "2" {
			return parley.ParkedDrop, nil
		}
		return parley.ParkedKeep, nil
	})
	c.must(err, "drop one")
	var left []string
	for _, m := range c.parked() {
		left = append(left, string(m.Body))
	}
	if strings.Join(left, "") != "0134" {
		c.Errorf("%v remain, want the others in their order", left)
	}
}

func forgedHistoryReachesNoHandler(c *consumerTest) {
	c.router.HandleFunc("admin", "", func(context.Context, *parley.Delivery) error { c.note("reached"); return nil })
	c.start()
	m := parley.Message{RoutingKey: c.q, Body: []byte("x")}
	m.SetHeader("parley-exchange", "admin")
	m.SetHeader("parley-routing-key", "delete")
	m.SetHeader("parley-signature", strings.Repeat("ab", 32))
	c.publish(m)
	eventually(c.T, "the message is parked", func() bool { return len(c.parked()) == 1 })
	if p := c.parked()[0]; p.Signed || len(c.notes()) != 0 {
		c.Errorf("signed %v, handled %v", p.Signed, c.notes())
	}
}

func retryReachesNoOtherQueue(c *consumerTest) {
	other := c.bound(c.ex, "#")
	c.router.HandleFunc(c.ex, "", func(_ context.Context, d *parley.Delivery) error {
		c.note("tried")
		if d.Attempt == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	c.start()
	c.send("k", "x", "")
	c.eventuallyHandled(2)
	sub := c.subscribe(other, 10)
	if _, err := sub.Next(c.ctx); err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.ctx, glance)
	defer cancel()
	if _, err := sub.Next(ctx); err == nil {
		c.Errorf("the retry copy reached another queue of the exchange")
	}
}

func poisonDoesNotStopTheOthers(c *consumerTest) {
	event := parley.NewEvent[struct{ N int }](c.ex, "k")
	parley.On(c.router, event, func(_ context.Context, e parley.Event[struct{ N int }]) error {
		if e.Payload.N == 13 {
			panic("thirteen")
		}
		c.note("")
		return nil
	})
	c.start()
	for i := range 100 {
		body := fmt.Sprintf(`{"eventId": %d, "payload": {"n": %d}}`, i+1, i)
		if i%10 == 1 {
			body = strings.Repeat("[", 1000)
		}
		c.send("k", body, "")
	}
	c.eventuallyHandled(89)
	eventually(c.T, "exactly the malformed messages are parked", func() bool { return len(c.parked()) == 11 })
	if n := len(c.notes()); n != 89 {
		c.Errorf("handled %d, want 89", n)
	}
}

func keysKeepTheirOrder(c *consumerTest) {
	tried := map[string]bool{}
	c.router.HandleFunc(c.ex, "", func(_ context.Context, d *parley.Delivery) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if body := string(d.Body); strings.HasSuffix(body, "5") && !tried[body] {
			tried[body] = true
			return errors.New("not yet")
		}
		c.seen = append(c.seen, d.Key()+" "+string(d.Body))
		return nil
	}, parley.Ordered(nil))
	for i := range 200 {
		c.send("k", fmt.Sprintf("%03d", i), fmt.Sprint("key", i%7))
	}
	c.start(func(cfg *parley.ConsumerConfig) {
		cfg.Retry.Immediate = []time.Duration{10 * time.Millisecond}
	})
	c.eventuallyHandled(200)
	last := map[string]string{}
	for _, n := range c.notes() {
		key, body, _ := strings.Cut(n, " ")
		if body <= last[key] {
			c.Errorf("%s: %s came after %s", key, body, last[key])
		}
		last[key] = body
	}
}

func stopFinishesWhatRuns(c *consumerTest) {
	running, release := make(chan struct{}, 100), make(chan struct{})
	c.router.HandleFunc(c.ex, "", func(_ context.Context, d *parley.Delivery) error {
		running <- struct{}{}
		<-release
		c.note(string(d.Body))
		return nil
	})
	for i := range 20 {
		c.send("k", fmt.Sprint(i), "")
	}
	stop := c.start(func(cfg *parley.ConsumerConfig) { cfg.Concurrency = 3 })
	for range 3 {
		receive(c.T, running, "three handlers run")
	}
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	silent(c.T, stopped, "the consumer stopped while handlers were running")
	close(release)
	receive(c.T, stopped, "the consumer stops")
	if n := len(c.notes()); n != 3 {
		c.Errorf("%d handlers finished, want the 3 that were running", n)
	}
	c.start()
	c.eventuallyHandled(20)
	if got := c.notes(); len(got) != 20 {
		c.Errorf("%d messages were handled, want each once", len(got))
	}
}

func deletedQueueIsSubscribedAgain(c *consumerTest) {
	d, ok := c.broker.(deleter)
	if !ok {
		return
	}
	c.router.HandleFunc(c.ex, "", func(_ context.Context, d *parley.Delivery) error { c.note(string(d.Body)); return nil })
	lost := make(chan error, 10)
	c.start(func(cfg *parley.ConsumerConfig) {
		cfg.Hooks.Subscribed = func(up bool, cause error) {
			if !up {
				lost <- cause
			}
		}
	})
	c.must(d.DeleteQueue(c.ctx, c.q), "delete the queue")
	if err := receive(c.T, lost, "the consumer reports the lost subscription"); !errors.Is(err, parley.ErrSubscriptionLost) {
		c.Errorf("the consumer reported %v, want ErrSubscriptionLost", err)
	}
	eventually(c.T, "the queue is declared again", func() bool {
		m := parley.Message{Exchange: c.ex, RoutingKey: "k", Body: []byte("x")}
		return c.broker.Publish(c.ctx, []parley.Message{m}) == nil
	})
	c.eventuallyHandled(1)
}
