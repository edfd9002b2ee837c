package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// An unreadableControl returns an error from Pauses while down is set.
type unreadableControl struct {
	parley.ControlStore
	down  atomic.Bool
	reads atomic.Int64
}

func (s *unreadableControl) Pauses(ctx context.Context) ([]parley.Pause, error) {
	s.reads.Add(1)
	if s.down.Load() {
		return nil, errors.New("connection refused")
	}
	return s.ControlStore.Pauses(ctx)
}

// A pausable is a stage whose consumer has a failure store and a control.
type pausable struct {
	*stage
	store *memory.Store
	reads *unreadableControl
}

// onPausable runs play with a consumer that notes each delivery. before may pause something before the consumer starts.
func onPausable(t *testing.T, before func(s *memory.Store), play func(p *pausable)) {
	t.Helper()
	cfg := &parley.ConsumerConfig{}
	p := &pausable{}
	onStage(t, cfg, func(s *stage) {
		p.stage, p.store = s, memory.NewStore()
		p.reads = &unreadableControl{ControlStore: p.store}
		if before != nil {
			before(p.store)
		}
		control, err := parley.NewControl(p.reads, &parley.ControlConfig{Logger: quiet})
		if err != nil {
			s.t.Fatal(err)
		}
		cfg.Failures, cfg.Control = p.store.Failures(), control
		for _, key := range []string{"k", "order.placed", "order.paid"} {
			s.router.HandleFunc("user", key, func(_ context.Context, d *parley.Delivery) error { s.note(d); return nil }, parley.Ordered(nil))
		}
	}, func(*stage) { play(p) })
}

func (p *pausable) pause(what parley.Pause, d time.Duration) {
	p.t.Helper()
	if _, err := p.store.SetPause(p.t.Context(), what, d); err != nil {
		p.t.Fatal(err)
	}
	p.wait(1100 * time.Millisecond)
}

func (p *pausable) resume(what parley.Pause) {
	p.t.Helper()
	if _, _, err := parley.Resume(p.t.Context(), p.store, p.store.Failures(), what); err != nil {
		p.t.Fatal(err)
	}
	p.wait(1100 * time.Millisecond)
}

func (p *pausable) wantBodies(when string, want ...string) {
	p.t.Helper()
	if got := bodies(p.notes()); !slices.Equal(got, want) {
		p.t.Errorf("%s: handled %v, want %v", when, got, want)
	}
}

var queuePaused = parley.Pause{Part: parley.PauseConsumer, Queue: "q", Reason: "ticket 7"}

func TestAPausedQueueIsNotConsumedUntilItIsResumed(t *testing.T) {
	onPausable(t, nil, func(p *pausable) {
		p.pause(queuePaused, time.Hour)
		p.publish(text("1"))
		p.wait(30 * time.Minute)
		p.wantBodies("while paused")
		if err := p.consumer.Health(); err != nil {
			t.Errorf("health %v, want nil: an operator wanted it", err)
		}
		if pause, ok := p.consumer.Paused(); !ok || pause.Reason != "ticket 7" || p.consumer.Subscribed() {
			t.Errorf("paused %v by %+v, subscribed %v", ok, pause, p.consumer.Subscribed())
		}
		p.resume(queuePaused)
		p.wantBodies("after the resume", "1")
		p.pause(parley.Pause{Part: parley.PauseConsumer, Queue: "other"}, time.Hour)
		p.publish(text("2"))
		p.wait(time.Second)
		p.wantBodies("while another queue is paused", "1", "2")
	})
}

func TestAPauseSurvivesARestartAndEndsByItself(t *testing.T) {
	onPausable(t, func(s *memory.Store) {
		if _, err := s.SetPause(context.Background(), queuePaused, time.Hour); err != nil {
			t.Error(err)
		}
	}, func(p *pausable) {
		p.publish(text("1"))
		p.wait(59 * time.Minute)
		p.wantBodies("a minute before the end")
		p.wait(2 * time.Minute)
		p.wantBodies("after the end", "1")
	})
}

func TestWhilePausesCannotBeReadTheLastKnownOnesHoldUntilTheirEnd(t *testing.T) {
	onPausable(t, nil, func(p *pausable) {
		p.pause(queuePaused, time.Hour)
		p.reads.down.Store(true)
		p.publish(text("1"))
		p.wait(58 * time.Minute)
		p.wantBodies("with the database unreachable")
		p.wait(2 * time.Minute)
		p.wantBodies("after the end", "1")
		if got := p.reads.reads.Load(); got > 3700 {
			t.Errorf("the pauses were read %d times in an hour, want once a second", got)
		}
	})
}

func TestMessagesOfAPausedRoutingKeyWaitInTheTableAndReturnInTheirOrder(t *testing.T) {
	onPausable(t, nil, func(p *pausable) {
		pattern := parley.Pause{Part: parley.PauseConsumer, RoutingKey: "order.#"}
		p.pause(pattern, time.Hour)
		order := func(key, routingKey, body string) parley.Message {
			m := keyed(key, body)
			m.Exchange, m.RoutingKey = "user", routingKey
			return m
		}
		p.publish(order("a", "order.placed", "a1"), order("b", "order.paid", "b1"), order("a", "order.paid", "a2"), text("other"))
		p.publish(order("a", "k", "a3")) // not paused, but behind a1 and a2
		p.wait(30 * time.Minute)
		p.wantBodies("while paused", "other")
		st, err := p.store.Failures().Stats(t.Context(), "q")
		if err != nil || st.Waiting != 2 || st.Behind != 2 || p.consumer.InHand() != 0 {
			t.Errorf("the table has %+v (%v), %d in hand; want 2 waiting, 2 behind, none in hand", st, err, p.consumer.InHand())
		}
		p.resume(pattern)
		p.wait(10 * time.Second)
		got := bodies(p.notes())
		a := slices.DeleteFunc(slices.Clone(got), func(body string) bool { return body[0] != 'a' })
		if len(got) != 5 || !slices.Equal(a, []string{"a1", "a2", "a3"}) {
			t.Errorf("handled %v, want all five, and a1, a2, a3 in this order", got)
		}
		for _, o := range p.outcomes()[:4] {
			if o == parley.OutcomeParked || o == parley.OutcomeRetried {
				t.Errorf("outcomes %v: a pause is no failure", p.outcomes())
			}
		}
	})
}

func TestAnExtendedPauseKeepsWhatItHasMoved(t *testing.T) {
	onPausable(t, nil, func(p *pausable) {
		pattern := parley.Pause{Part: parley.PauseConsumer, RoutingKey: "k"}
		p.pause(pattern, 10*time.Minute)
		p.publish(text("1"))
		p.wait(5 * time.Minute)
		p.pause(pattern, time.Hour)
		p.wait(50 * time.Minute)
		p.wantBodies("after the first end")
		p.wait(11 * time.Minute)
		p.wantBodies("after the second end", "1")
	})
}

func TestAResumeByAnotherProgramReturnsTheMessages(t *testing.T) {
	onPausable(t, nil, func(p *pausable) {
		pattern := parley.Pause{Part: parley.PauseConsumer, RoutingKey: "k"}
		p.pause(pattern, time.Hour)
		p.publish(text("1"))
		p.wait(time.Second)
		if _, err := p.store.EndPause(t.Context(), pattern); err != nil { // without parley.Resume
			t.Error(err)
		}
		p.wait(10 * time.Second)
		p.wantBodies("after the end", "1")
	})
}

// A relay over two exchanges, one of them paused.
func TestARelayLeavesThePausedExchangeInTheOutboxAndGoesOnWithOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, broker := memory.NewStore(), memory.NewBroker(nil)
		declared := parley.Topology{}
		for _, name := range []string{"shop", "user"} {
			declared.Exchanges = append(declared.Exchanges, parley.Exchange{Name: name})
			declared.Queues = append(declared.Queues, parley.Queue{Name: name})
			declared.Bindings = append(declared.Bindings, parley.Binding{Queue: name, Exchange: name, RoutingKey: "#"})
		}
		if err := broker.Declare(t.Context(), declared); err != nil {
			t.Fatal(err)
		}
		control, err := parley.NewControl(store, &parley.ControlConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		relay, err := parley.NewRelay(store, broker, &parley.RelayConfig{Control: control, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 2)
		for _, r := range []parley.Runner{control, relay} { // two Runs of the control: one reads
			go func() { done <- r.Run(ctx) }()
		}
		insert := func(exchange string, n int) {
			t.Helper()
			err := store.InTx(ctx, func(tx *memory.Tx) error {
				return store.Insert(ctx, tx, []parley.Record{{Message: parley.Message{Exchange: exchange, RoutingKey: "k", Kind: parley.KindCommand, Body: fmt.Appendf(nil, "%d", n)}}})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		wantPending := func(when string, want ...string) {
			t.Helper()
			var got []string
			for _, r := range store.Pending() {
				got = append(got, r.Exchange+string(r.Body))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v are in the outbox, want %v", when, got, want)
			}
		}
		pause := func(p parley.Pause) {
			t.Helper()
			if _, err := store.SetPause(ctx, p, time.Hour); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1100 * time.Millisecond)
		}
		pause(parley.Pause{Part: parley.PauseRelay, Exchange: "shop"})
		for n := range 3 {
			insert("shop", n)
			insert("user", n)
			time.Sleep(200 * time.Millisecond)
		}
		wantPending("one exchange paused", "shop0", "shop1", "shop2")
		pause(parley.Pause{Part: parley.PauseRelay})
		insert("user", 3)
		time.Sleep(time.Minute)
		wantPending("all paused", "shop0", "shop1", "shop2", "user3")
		if got := relay.State(); got != parley.RelayPaused {
			t.Errorf("the relay is %s", got)
		}
		for _, p := range []parley.Pause{{Part: parley.PauseRelay}, {Part: parley.PauseRelay, Exchange: "shop"}} {
			if _, err := store.EndPause(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		wantPending("resumed")
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTheStateOfAControlNamesWhatIsPausedButNoReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.NewStore()
		control, err := parley.NewControl(store, &parley.ControlConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- control.Run(ctx) }()
		synctest.Wait()
		if got := control.State(); got != "" {
			t.Errorf("nothing paused: %q", got)
		}
		p, err := store.SetPause(ctx, parley.Pause{Part: parley.PauseRelay, Exchange: "shop", Reason: "secret"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got, want := control.State(), "paused by an operator: relay exchange shop until "+p.Until.Format(time.RFC3339); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
