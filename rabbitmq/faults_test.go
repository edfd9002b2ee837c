package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// through returns a proxy to the real server, a broker that connects through it, and an exchange and a queue
// that were declared directly.
func through(t *testing.T, cfg rabbitmq.Config) (p *faultproxy.Proxy, b *rabbitmq.Broker, exchange, queue string) {
	t.Helper()
	p, _, exchange, queue = behindProxy(t, &cfg)
	b, err := rabbitmq.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = b.Close(ctx) // the connection may be a black hole
	})
	return p, b, exchange, queue
}

// behindProxy points cfg at a proxy; direct is a broker that does not use the proxy.
func behindProxy(t *testing.T, cfg *rabbitmq.Config) (p *faultproxy.Proxy, direct *rabbitmq.Broker, exchange, queue string) {
	t.Helper()
	direct, exchange, queue = open(t, rabbitmq.Config{})
	u, err := url.Parse(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	target := u.Host
	if u.Port() == "" {
		target = net.JoinHostPort(u.Hostname(), "5672")
	}
	p = faultproxy.Start(t, target)
	u.Host = p.Addr()
	cfg.URL, cfg.Logger = u.String(), discard()
	return p, direct, exchange, queue
}

// publishBatches publishes each message once, in batches, and returns the ids that were confirmed and those whose outcome is unknown.
func publishBatches(t *testing.T, b *rabbitmq.Broker, exchange string, batches, size int) (sure, unsure map[string]bool) {
	t.Helper()
	sure, unsure = map[string]bool{}, map[string]bool{}
	for n := range batches {
		out := messages(exchange, size)
		for i := range out {
			out[i].ID = fmt.Sprintf("%d-%d", n, i)
		}
		outcomes := b.Publish(t.Context(), out)
		if outcomes != nil && len(outcomes) != len(out) {
			t.Fatalf("%d outcomes for %d messages", len(outcomes), len(out))
		}
		for i := range out {
			switch {
			case outcomes == nil || outcomes[i] == nil:
				sure[out[i].ID] = true
			case errors.Is(outcomes[i], parley.ErrUnknown):
				unsure[out[i].ID] = true
			default:
				t.Errorf("message %s: %v, want nil or ErrUnknown", out[i].ID, outcomes[i])
			}
		}
	}
	return sure, unsure
}

// drain consumes all messages of a queue and returns how often each id was in it.
func drain(t *testing.T, b *rabbitmq.Broker, queue string) map[string]int {
	t.Helper()
	end := testenv.Unique(t, "end")
	if outcomes := b.Publish(t.Context(), []parley.Message{{RoutingKey: queue, ID: end, Body: []byte("{}")}}); outcomes != nil {
		t.Fatal(errors.Join(outcomes...))
	}
	s := subscribe(t, b, queue, 500)
	got := map[string]int{}
	for {
		d := next(t, s)
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
		if d.ID == end {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return got
		}
		got[d.ID]++
	}
}

func TestACutInTheMiddleOfAWindowLosesNoConfirmedMessage(t *testing.T) {
	var cfg rabbitmq.Config
	cfg.Window = 100
	p, direct, exchange, queue := behindProxy(t, &cfg)
	b, err := rabbitmq.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	const rounds = 12
	sure, unsure := map[string]bool{}, map[string]bool{}
	for round := range rounds {
		p.CutAfter(int64(2000 + 1777*round))
		s, u := publishBatches(t, b, exchange, 1, 300)
		for id := range s {
			sure[fmt.Sprint(round, "/", id)] = true
		}
		for id := range u {
			unsure[fmt.Sprint(round, "/", id)] = true
		}
		for id := range drain(t, direct, queue) {
			delete(sure, fmt.Sprint(round, "/", id))
		}
		if len(sure) > 0 {
			t.Fatalf("round %d: confirmed, but not in the queue: %v", round, sure)
		}
	}
	if p.Count(faultproxy.Cuts) < rounds || len(unsure) == 0 {
		t.Errorf("%d cuts and %d unknown outcomes: the fault had no effect", p.Count(faultproxy.Cuts), len(unsure))
	}
	p.Heal()
	if outcomes := b.Publish(t.Context(), messages(exchange, 10)); outcomes != nil {
		t.Errorf("after the cuts: %v", errors.Join(outcomes...))
	}
}

func TestMessagesBehindALostOneAreNotSent(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{Window: 50})
	direct, _, _ := open(t, rabbitmq.Config{})
	p.CutAfter(20_000)
	out := messages(exchange, 500)
	outcomes := b.Publish(t.Context(), out)
	if outcomes == nil {
		t.Fatal("the cut had no effect")
	}
	lost := 0
	for lost < len(outcomes) && outcomes[lost] == nil {
		lost++
	}
	for i := lost; i < len(outcomes); i++ {
		if !errors.Is(outcomes[i], parley.ErrUnknown) {
			t.Fatalf("message %d was lost, but message %d has the outcome %v", lost, i, outcomes[i])
		}
	}
	highest := 0
	got := drain(t, direct, queue)
	for i := range out {
		if got[out[i].ID] > 0 {
			highest = i
		}
	}
	if len(got) != highest+1 {
		t.Errorf("%d messages arrived, the last one is number %d: messages before it are missing", len(got), highest)
	}
}

func TestACutInABodyIsAnUnknownOutcome(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{})
	p.CutInBody()
	out := messages(exchange, 1)
	if outcomes := b.Publish(t.Context(), out); len(outcomes) != 1 || !errors.Is(outcomes[0], parley.ErrUnknown) {
		t.Errorf("half a body was sent: %v, want ErrUnknown", outcomes)
	}
	if outcomes := b.Publish(t.Context(), out); outcomes != nil {
		t.Errorf("sent again: %v", outcomes)
	}
	if got := drain(t, b, queue); got["0"] != 1 || p.Count(faultproxy.Cuts) != 1 {
		t.Errorf("the message arrived %d times after %d cuts, want once after one", got["0"], p.Count(faultproxy.Cuts))
	}
}

func TestASwallowedConfirmIsUnknownAfterTheTimeout(t *testing.T) {
	p, b, exchange, _ := through(t, rabbitmq.Config{ConfirmTimeout: 300 * time.Millisecond})
	if err := b.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.SwallowConfirms(1)
	start := time.Now()
	outcomes := b.Publish(t.Context(), messages(exchange, 1))
	if len(outcomes) != 1 || !errors.Is(outcomes[0], parley.ErrUnknown) || !strings.Contains(outcomes[0].Error(), "no confirm for 300ms") {
		t.Errorf("the confirm was swallowed: %v, want ErrUnknown with the reason", outcomes)
	}
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("unknown after %v, want 300ms", took)
	}
	if p.Count(faultproxy.Swallowed) != 1 {
		t.Errorf("%d confirms swallowed, want 1", p.Count(faultproxy.Swallowed))
	}
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Errorf("on the next connection: %v", outcomes)
	}
}

func TestConfirmsBehindASwallowedOneAreNotLost(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{ConfirmTimeout: 500 * time.Millisecond, Window: 1})
	p.SwallowConfirms(1)
	sure, unsure := publishBatches(t, b, exchange, 3, 1)
	if len(sure) != 2 || len(unsure) != 1 {
		t.Errorf("%d confirmed and %d unknown, want 2 and 1", len(sure), len(unsure))
	}
	if got := drain(t, b, queue); len(got) != 3 {
		t.Errorf("%d messages arrived, want 3, including the unknown one", len(got))
	}
}

func TestADelayedReturnIsMatched(t *testing.T) {
	p, b, exchange, _ := through(t, rabbitmq.Config{})
	p.DelayReturn(50 * time.Millisecond)
	out := messages(exchange, 100)
	out[3].RoutingKey, out[77].RoutingKey = "no.queue", "no.queue"
	outcomes := b.Publish(t.Context(), out)
	for i := range out {
		if want := i == 3 || i == 77; len(outcomes) != 100 || errors.Is(outcomes[i], parley.ErrUnroutable) != want {
			t.Fatalf("outcomes %v, want 3 and 77 unroutable", outcomes)
		}
	}
	if n := p.Count(faultproxy.Delayed); n != 2 {
		t.Errorf("%d returns delayed, want 2", n)
	}
}

func TestReadyWaitsWhileTheBrokerCannotBeReached(t *testing.T) {
	p, b, exchange, _ := through(t, rabbitmq.Config{DialTimeout: 300 * time.Millisecond})
	p.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := b.Ready(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), p.Addr()) {
		t.Errorf("ready in a black hole: %v, want the context's error and the address", err)
	}
	if outcomes := b.Publish(ctx, messages(exchange, 2)); len(outcomes) != 2 || !errors.Is(outcomes[1], parley.ErrUnknown) {
		t.Errorf("publish with a context that has ended: %v, want ErrUnknown", outcomes)
	}
	p.Heal()
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		t.Errorf("after the black hole: %v", err)
	}
	if p.Count(faultproxy.Held) == 0 {
		t.Error("the black hole had no effect")
	}
}

func TestABlackHoleIsNoticedWithinTwoHeartbeats(t *testing.T) {
	t.Parallel()
	const heartbeat = 5 * time.Second
	lost := make(chan string, 2)
	p, b, exchange, queue := through(t, rabbitmq.Config{
		Heartbeat: heartbeat, Hooks: rabbitmq.Hooks{Disconnected: func(c string, _ error) { lost <- c }},
	})
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Fatal(outcomes)
	}
	s := subscribe(t, b, queue, 1)
	next(t, s)
	p.Blackhole()
	start := time.Now()
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); len(outcomes) != 1 || !errors.Is(outcomes[0], parley.ErrUnknown) {
		t.Errorf("published into a black hole: %v, want ErrUnknown", outcomes)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, parley.ErrSubscriptionLost) {
		t.Errorf("subscribed to a black hole: %v, want ErrSubscriptionLost", err)
	}
	for range 2 {
		<-lost
	}
	if took := time.Since(start); took > 2*heartbeat {
		t.Errorf("both connections were closed after %v, want at most %v", took, 2*heartbeat)
	}
}

func TestAStaleAckSendsNothing(t *testing.T) {
	stale := 0
	p, b, exchange, queue := through(t, rabbitmq.Config{Hooks: rabbitmq.Hooks{StaleAck: func() { stale++ }}})
	b.Publish(t.Context(), messages(exchange, 3))
	s := subscribe(t, b, queue, 3)
	held := []*parley.Delivery{next(t, s), next(t, s), next(t, s)}
	p.Cut()
	if _, err := s.Next(t.Context()); !errors.Is(err, parley.ErrSubscriptionLost) {
		t.Fatalf("after the cut: %v, want ErrSubscriptionLost", err)
	}
	again := subscribe(t, b, queue, 3)
	defer again.Close()
	for range held {
		next(t, again)
	}
	for _, d := range held {
		if err := d.Settle(parley.SettleAck); !errors.Is(err, parley.ErrStale) {
			t.Errorf("settle a delivery of the lost session: %v, want ErrStale", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := p.Sent(faultproxy.BasicAck); n != 0 || stale != 3 {
		t.Errorf("%d acks sent and %d counted as stale, want 0 and 3", n, stale)
	}
}

func TestCloseWhilePublishingLeavesNoMessageWithoutOutcome(t *testing.T) {
	for range 5 {
		b, exchange, queue := open(t, rabbitmq.Config{Window: 100})
		var wg sync.WaitGroup
		var mu sync.Mutex
		sure, started := 0, make(chan struct{}, 8)
		for range 8 {
			wg.Go(func() {
				for first := true; ; first = false {
					outcomes := b.Publish(t.Context(), messages(exchange, 20))
					for i := range 20 {
						if outcomes == nil || outcomes[i] == nil {
							mu.Lock()
							sure++
							mu.Unlock()
						} else if !errors.Is(outcomes[i], parley.ErrUnknown) {
							t.Errorf("outcome %v, want nil or ErrUnknown", outcomes[i])
						}
					}
					if first {
						started <- struct{}{}
					}
					if outcomes != nil {
						return
					}
				}
			})
		}
		for range 8 {
			<-started
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		look, err := rabbitmq.New(&rabbitmq.Config{URL: testenv.RabbitMQ(t)})
		if err != nil {
			t.Fatal(err)
		}
		if n, _, err := look.QueueLen(t.Context(), queue); n != sure || err != nil {
			t.Errorf("%d messages were confirmed, %d are in the queue (%v): Close must wait for messages in flight", sure, n, err)
		}
		_ = look.Close(t.Context())
	}
}

func TestCloseWithAnOpenSubscriptionEnds(t *testing.T) {
	var cfg rabbitmq.Config
	_, _, _, queue := behindProxy(t, &cfg)
	b, err := rabbitmq.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, b, queue, 1)
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, parley.ErrSubscriptionLost) {
		t.Errorf("Next after the broker's Close: %v, want ErrSubscriptionLost", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after the broker's: %v", err)
	}
	if _, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: 1}); !errors.Is(err, parley.ErrClosed) {
		t.Errorf("Subscribe after Close: %v, want ErrClosed", err)
	}
	if err := b.Ready(t.Context()); !errors.Is(err, parley.ErrClosed) {
		t.Errorf("Ready after Close: %v, want ErrClosed", err)
	}
}
