package parley_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// parkedBroker returns a broker whose queue "q" has n parked messages, with the ids "0", "1" and so on.
func parkedBroker(t *testing.T, n int) *memory.Broker {
	t.Helper()
	b := memory.NewBroker(nil)
	topology := parley.Topology{
		Exchanges: []parley.Exchange{{Name: "x"}}, Queues: []parley.Queue{{Name: "q"}}, Bindings: []parley.Binding{{Queue: "q", Exchange: "x"}},
	}
	r := parley.NewRouter()
	r.HandleFunc("x", "", func(context.Context, *parley.Delivery) error { return parley.Park(errors.New("no")) })
	parked := make(chan struct{}, n)
	c, err := parley.NewConsumer(b, r, &parley.ConsumerConfig{Queue: "q", Topology: topology, Concurrency: 1, Logger: slog.New(slog.DiscardHandler),
		Hooks: parley.ConsumerHooks{Done: func(parley.ConsumerReport) { parked <- struct{}{} }}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if errs := b.Publish(t.Context(), []parley.Message{{Exchange: "x", RoutingKey: "k", ID: fmt.Sprint(i), Body: fmt.Appendf(nil, `{"n": %d}`, i)}}); errs != nil {
			t.Fatal(errs)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for range n {
		<-parked
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return b
}

func keep(*parley.ParkedMessage) (parley.ParkedAction, error) { return parley.ParkedKeep, nil }

// look returns the ids of the parked messages.
func look(ctx context.Context, b parley.Broker) (ids []string, err error) {
	err = parley.VisitParked(ctx, b, "q", nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		ids = append(ids, m.ID)
		return parley.ParkedKeep, nil
	})
	return ids, err
}

func wantParked(t *testing.T, b parley.Broker, what string, want ...string) {
	t.Helper()
	got, err := look(t.Context(), b)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: %q are parked (%v), want %q", what, got, err, want)
	}
}

func TestCopiesLeftByACrashAreRemovedByTheNextVisit(t *testing.T) {
	for lost := range 6 {
		b := parkedBroker(t, 5)
		b.LoseConfirms(lost)
		if _, err := look(t.Context(), b); (err != nil) != (lost > 0) {
			t.Fatalf("with %d lost confirms: %v", lost, err)
		}
		if n, _, err := b.QueueLen(t.Context(), "q.parked"); err != nil || n != 5+lost {
			t.Fatalf("%d lost confirms have left %d messages (%v), want the copies too", lost, n, err)
		}
		seen, err := look(t.Context(), b)
		slices.Sort(seen)
		if err != nil || !slices.Equal(seen, []string{"0", "1", "2", "3", "4"}) {
			t.Errorf("after %d lost confirms a look shows %q (%v), want each message once", lost, seen, err)
		}
		if n, _, _ := b.QueueLen(t.Context(), "q.parked"); n != 5 {
			t.Errorf("after %d lost confirms and a visit %d messages are parked, want 5", lost, n)
		}
	}
}

func TestAVisitThatWasCutOffIsRepairedByTheNextOne(t *testing.T) {
	b := parkedBroker(t, 200)
	want, err := look(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	visits := 0
	err = parley.VisitParked(t.Context(), b, "q", nil, func(*parley.ParkedMessage) (parley.ParkedAction, error) {
		if visits++; visits == 100 {
			b.Disconnect() // the first batch has been moved
		}
		return parley.ParkedKeep, nil
	})
	if err == nil {
		t.Fatal("the visit was not cut off")
	}
	seen, err := look(t.Context(), b)
	if err != nil || slices.Equal(seen, want) {
		t.Fatalf("the cut has not changed the order (%v): the test shows nothing", err)
	}
	wantParked(t, b, "after one more look", want...)
	wantParked(t, b, "after another look", want...)
}

func TestACancelledVisitKeepsTheOrder(t *testing.T) {
	b := parkedBroker(t, 200)
	want, err := look(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	visits := 0
	err = parley.VisitParked(ctx, b, "q", nil, func(*parley.ParkedMessage) (parley.ParkedAction, error) {
		if visits++; visits == 100 {
			cancel()
		}
		return parley.ParkedDrop, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled look ends with %v", err)
	}
	wantParked(t, b, "after a cancelled look that dropped the first 100", want[100:]...)
}

func TestAReplayThatIsRefusedStaysParked(t *testing.T) {
	b := parkedBroker(t, 3)
	b.RejectNext(1)
	n, err := parley.ReplayParked(t.Context(), b, "q", nil)
	if !errors.Is(err, parley.ErrRejected) {
		t.Errorf("replayed %d: %v, want ErrRejected", n, err)
	}
	wantParked(t, b, "after a replay that was rejected", "0")
}

func TestAVisitMayForceTheReplayOfAMessageThatIsNotVerified(t *testing.T) {
	b := parkedBroker(t, 1)
	other := [][]byte{[]byte("another secret of 16 bytes or more")}
	if n, err := parley.ReplayParked(t.Context(), b, "q", other); n != 0 || err != nil {
		t.Fatalf("ReplayParked with another secret replayed %d (%v), want none", n, err)
	}
	forced := 0
	err := parley.VisitParked(t.Context(), b, "q", append(other, b.RetrySecret()), func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		if !m.Signed {
			t.Error("the old secret in the list does not verify the history")
		}
		return parley.ParkedKeep, nil
	})
	if err == nil {
		err = parley.VisitParked(t.Context(), b, "q", other, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
			if m.Signed {
				t.Error("a history is verified with a secret that did not sign it")
			}
			forced++
			return parley.ParkedReplay, nil
		})
	}
	if err != nil || forced != 1 {
		t.Fatalf("forced %d: %v", forced, err)
	}
	handled := make(chan int, 1)
	r := parley.NewRouter()
	r.HandleFunc("x", "k", func(_ context.Context, d *parley.Delivery) error {
		handled <- d.History().Replays
		return nil
	})
	c, err := parley.NewConsumer(b, r, &parley.ConsumerConfig{Queue: "q", Secrets: other, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	if n := <-handled; n != 1 {
		t.Errorf("handled with %d replays, want 1", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// One goroutine drops some messages while others visit the queue, under faults of the broker.
func TestVisitsUnderFaultsLoseAndDuplicateNothing(t *testing.T) {
	for seed := range uint64(12) {
		b := parkedBroker(t, 80)
		var wg sync.WaitGroup
		for g := range uint64(3) {
			rnd := rand.New(rand.NewPCG(seed, g))
			wg.Go(func() {
				for range 10 {
					switch rnd.IntN(5) {
					case 0:
						b.LoseConfirms(rnd.IntN(60))
					case 1:
						b.RejectNext(rnd.IntN(3))
					case 2:
						b.Disconnect()
					}
					_ = parley.VisitParked(t.Context(), b, "q", nil, keep) // it may fail, but must lose no message
				}
			})
		}
		wg.Wait()
		b.LoseConfirms(0)
		b.RejectNext(0)
		var got []string
		for range 4 { // copies of concurrent visits have no common order: this takes more than one visit
			var err error
			if got, err = look(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		distinct := map[string]bool{}
		for _, id := range got {
			distinct[id] = true
		}
		if len(distinct) != 80 || len(got) != 80 {
			t.Errorf("seed %d: %d messages are parked, %d different ones, want 80", seed, len(got), len(distinct))
		}
	}
}

// A wrapped broker hides its QueuePuller.
func TestAVisitWorksWithABrokerThatHasSubscriptionsOnly(t *testing.T) {
	b := struct {
		parley.Broker
		parley.SecretKeeper
	}{parkedBroker(t, 5), nil}
	b.SecretKeeper = b.Broker.(parley.SecretKeeper)
	for range 3 {
		wantParked(t, b, "through subscriptions", "0", "1", "2", "3", "4")
	}
}

func TestAnEventIsNotReplayedWithABodyThatIsNoObject(t *testing.T) {
	b := parkedBroker(t, 1)
	err := parley.VisitParked(t.Context(), b, "q", nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		m.Kind, m.Body = parley.KindEvent, []byte("[1]")
		return parley.ParkedReplay, nil
	})
	if !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("replayed: %v, want ErrInvalid", err)
	}
	wantParked(t, b, "after the refusal", "0")
}

func TestAVisitThatChangesAMessageAndKeepsItChangesNothing(t *testing.T) {
	b := parkedBroker(t, 1)
	for range 2 {
		err := parley.VisitParked(t.Context(), b, "q", nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
			if string(m.Body) != `{"n": 0}` || m.Exchange != "x" || m.Header("mine") != "" || !m.Signed {
				t.Errorf("the message is %+v", m)
			}
			m.Body[0], m.Exchange = 'x', "other"
			m.SetHeader("mine", "changed")
			return parley.ParkedKeep, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
