package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A drainStage is a relay with a control, for drains. Records of the exchanges "shop" and "user" reach a queue.
type drainStage struct {
	t       *testing.T
	store   *memory.Store
	reads   *unreadableControl
	broker  *memory.Broker
	relay   *parley.Relay
	batches func(n int) // called after each batch
}

func onDrain(t *testing.T, cfg parley.RelayConfig, play func(s *drainStage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &drainStage{t: t, store: memory.NewStore(), batches: func(int) {}}
		s.reads = &unreadableControl{ControlStore: s.store}
		control, err := parley.NewControl(s.reads, &parley.ControlConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		s.broker = memory.NewBroker(nil)
		s.bind("shop")
		s.bind("user")
		n := 0
		cfg.Control, cfg.Logger = control, quiet
		cfg.Hooks.Batch = func(parley.BatchReport) { n++; s.batches(n) }
		var relayErr error
		s.relay, relayErr = parley.NewRelay(s.store, s.broker, &cfg)
		if err = errors.Join(err, relayErr); err != nil {
			t.Fatal(err)
		}
		play(s)
	})
}

func (s *drainStage) bind(name string) {
	s.t.Helper()
	err := s.broker.Declare(s.t.Context(), parley.Topology{
		Exchanges: []parley.Exchange{{Name: name}}, Queues: []parley.Queue{{Name: name}},
		Bindings: []parley.Binding{{Queue: name, Exchange: name, RoutingKey: "#"}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *drainStage) insert(exchanges ...string) {
	s.t.Helper()
	for n, exchange := range exchanges {
		err := s.store.InTx(s.t.Context(), func(tx *memory.Tx) error {
			m := parley.Message{Exchange: exchange, RoutingKey: "k", Kind: parley.KindCommand, Body: fmt.Appendf(nil, "%d", n)}
			return s.store.Insert(s.t.Context(), tx, []parley.Record{{Message: m}})
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *drainStage) pause(exchange string) {
	s.t.Helper()
	if _, err := s.store.SetPause(s.t.Context(), parley.Pause{Part: parley.PauseRelay, Exchange: exchange}, time.Hour); err != nil {
		s.t.Fatal(err)
	}
}

func (s *drainStage) wantPending(want ...string) {
	s.t.Helper()
	var got []string
	for _, r := range s.store.Pending() {
		got = append(got, r.Exchange)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("records of %v are in the outbox, want %v", got, want)
	}
}

func TestADrainLeavesTheRecordsOfAPausedExchange(t *testing.T) {
	onDrain(t, parley.RelayConfig{}, func(s *drainStage) {
		s.insert("shop", "user", "shop")
		s.pause("shop")
		if n, err := s.relay.Drain(s.t.Context()); n != 1 || err != nil {
			t.Errorf("moved %d records (%v), want 1", n, err)
		}
		s.wantPending("shop", "shop")
		if _, err := s.store.EndPause(s.t.Context(), parley.Pause{Part: parley.PauseRelay, Exchange: "shop"}); err != nil {
			t.Fatal(err)
		}
		if n, err := s.relay.Drain(s.t.Context()); n != 2 || err != nil {
			t.Errorf("after the pause: moved %d records (%v), want 2", n, err)
		}
	})
}

func TestADrainOfAPausedRelayIsAnErrorThatNamesThePause(t *testing.T) {
	onDrain(t, parley.RelayConfig{}, func(s *drainStage) {
		s.insert("shop", "user")
		s.pause("")
		n, err := s.relay.Drain(s.t.Context())
		if n != 0 || !errors.Is(err, parley.ErrPaused) || !strings.Contains(err.Error(), "relay until") || !strings.Contains(err.Error(), "parley resume relay") {
			t.Errorf("moved %d records, error %v", n, err)
		}
		s.wantPending("shop", "user")
	})
}

func TestADrainNoticesAPauseBetweenTwoBatches(t *testing.T) {
	onDrain(t, parley.RelayConfig{BatchSize: 1}, func(s *drainStage) {
		s.insert("shop", "shop", "shop", "shop")
		s.batches = func(n int) {
			if n == 2 {
				s.pause("shop")
				time.Sleep(1100 * time.Millisecond) // virtual: a slow batch
			}
		}
		if n, err := s.relay.Drain(s.t.Context()); n != 2 || err != nil {
			t.Errorf("moved %d records (%v), want 2", n, err)
		}
		s.wantPending("shop", "shop")
	})
}

func TestADrainMovesNothingWhileThePausesCannotBeRead(t *testing.T) {
	onDrain(t, parley.RelayConfig{}, func(s *drainStage) {
		s.insert("user")
		s.reads.down.Store(true)
		if n, err := s.relay.Drain(s.t.Context()); n != 0 || err == nil || !strings.Contains(err.Error(), "read pauses: connection refused") {
			t.Errorf("moved %d records, error %v", n, err)
		}
		s.wantPending("user")
	})
}

// A controlWithoutTables is the store of a database that has no table of pauses.
type controlWithoutTables struct{ parley.ControlStore }

func (controlWithoutTables) Pauses(context.Context) ([]parley.Pause, error) {
	return nil, parley.ErrControlNotReady
}

func TestADrainNeedsNoTableOfPauses(t *testing.T) {
	onDrain(t, parley.RelayConfig{}, func(s *drainStage) {
		s.insert("user")
		s.reads.ControlStore = controlWithoutTables{}
		if n, err := s.relay.Drain(s.t.Context()); n != 1 || err != nil {
			t.Errorf("moved %d records (%v), want 1", n, err)
		}
	})
}
