package parley_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
