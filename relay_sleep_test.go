package parley_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A sleepyStore notifies only while its flag is raised, and notes the steps of a relay.
type sleepyStore struct {
	*memory.Store
	foreign  bool // the flag belongs to another relay
	raiseErr error
	settleAt int // the call of Settled that returns true

	mu      sync.Mutex // guards the fields below
	steps   []string
	settled int
}

func (s *sleepyStore) note(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, step)
}

// noted returns the steps so far, without repeated looks before the flag is raised.
func (s *sleepyStore) noted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.steps, "raise"); i >= 0 {
		return strings.Join(s.steps[i:], " ")
	}
	return ""
}

func (s *sleepyStore) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	s.note("look")
	return s.Store.Claim(ctx, o)
}

func (s *sleepyStore) WatchAsleep(ctx context.Context, wake func(), ready func(parley.SleepFlag)) error {
	ready(s)
	wake()
	<-ctx.Done()
	return nil
}

func (s *sleepyStore) Raise(context.Context) (parley.SleepState, error) {
	s.note("raise")
	return parley.SleepState{Mine: !s.foreign, Series: 1}, s.raiseErr
}

func (s *sleepyStore) Settled(context.Context) (bool, error) {
	s.note("test")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled++
	return s.settled >= s.settleAt, nil
}

func (s *sleepyStore) Lower(context.Context) error { s.note("lower"); return nil }

func (s *sleepyStore) Due(context.Context, []string) (bool, error) { return false, nil }

// relaySleeping runs a relay that polls each minute on the store for d, and returns its state at the end of d.
func relaySleeping(t *testing.T, store *sleepyStore, d time.Duration) (state parley.RelayState) {
	t.Helper()
	store.Store = memory.NewStore()
	relay, err := parley.NewRelay(store, memory.NewBroker(nil), &parley.RelayConfig{PollInterval: time.Minute, StandbyInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := relay.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(d)
	synctest.Wait()
	state = relay.State()
	stop()
	wg.Wait()
	return state
}

func TestARelayLooksOnceMoreAfterTheTestThatEndsTheSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &sleepyStore{settleAt: 3}
		if state := relaySleeping(t, store, 10*time.Second); state != parley.RelayActive {
			t.Errorf("the relay is %s, want active", state)
		}
		want := "raise test look raise test look raise test look raise"
		if got := store.noted(); got != want {
			t.Errorf("steps: %s\nwant:  %s", got, want)
		}
	})
}

func TestAnOrderedRelayIsStandbyWhileAnotherHasRaisedTheFlag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if state := relaySleeping(t, &sleepyStore{foreign: true, settleAt: 1}, 10*time.Second); state != parley.RelayStandby {
			t.Errorf("the relay is %s, want standby", state)
		}
	})
}

func TestARelayThatCannotRaiseTheFlagPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &sleepyStore{raiseErr: errors.New("connection refused"), settleAt: 1}
		if state := relaySleeping(t, store, 5*time.Minute); state != parley.RelayActive {
			t.Errorf("the relay is %s, want active", state)
		}
		if looks := strings.Count(store.noted(), "look"); looks < 4 {
			t.Errorf("%d looks in 5 minutes with a poll interval of one, want at least 4", looks)
		}
	})
}
