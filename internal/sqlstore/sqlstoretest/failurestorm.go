package sqlstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// A FailureTable is the table of failed deliveries of a driver.
type FailureTable[Tx any] interface {
	parley.FailureStore
	parley.FailureOperator
	parley.FailureTx[Tx]
}

const (
	stormWorkers  = 8
	stormKeys     = 3
	stormConsumer = "billing"
)

// A failureStorm counts how often each message was handled, and which worker handles a message of each key.
type failureStorm[Tx sqlstore.Tx] struct {
	t     *testing.T
	table FailureTable[Tx]
	inbox parley.InboxStore[Tx]

	mu sync.Mutex
	// mu guards the fields below.
	kept    int
	handled map[string]int
	busy    map[string]bool
}

// FailureStorm runs workers that keep, claim, handle, settle, renew, replay and list failures of a few keys concurrently, with
// long transactions. No call may fail, except Keep for lack of a lock. Each message is handled once, and no two
// of a key at a time.
// of a key at a time.
func FailureStorm[Tx sqlstore.Tx](t *testing.T, table FailureTable[Tx], inbox parley.InboxStore[Tx], messages int) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	s := &failureStorm[Tx]{t: t, table: table, inbox: inbox, handled: map[string]int{}, busy: map[string]bool{}}
	var wg sync.WaitGroup
	for w := range stormWorkers {
		wg.Go(func() {
			for i := range messages / stormWorkers {
				s.keep(ctx, fmt.Sprint(w, "-", i))
				s.work(ctx, false)
			}
		})
	}
	wg.Go(func() {
		for range messages / stormWorkers {
			s.operate(ctx)
		}
	})
	wg.Wait()
	for {
		st, err := table.Stats(ctx, stormConsumer)
		if err != nil {
			t.Fatalf("stats: %v", err)
		}
		if st == (parley.FailureStats{}) {
			break
		}
		s.operate(ctx)
		s.work(ctx, true)
		s.work(ctx, false)
	}
	for id, n := range s.handled {
		if n != 1 {
			t.Errorf("message %s was handled %d times, want once", id, n)
		}
	}
	if len(s.handled) != s.kept {
		t.Errorf("%d messages were handled, want all %d that were kept", len(s.handled), s.kept)
	}
}

func (s *failureStorm[Tx]) keep(ctx context.Context, id string) {
	f := parley.Failure{
		Message: parley.Message{Exchange: "orders", RoutingKey: "paid", ID: id, Kind: parley.KindEvent, Body: []byte("{}")},
		State:   parley.FailureWaiting, Identity: "id:" + id, Fingerprint: "0123456789abcdef0123456789abcdef",
	}
	if n := rand.N(stormKeys + 1); n > 0 {
		f.Key = strconv.Itoa(n)
	}
	if rand.N(4) == 0 {
		f.State, f.Holds = parley.FailureParked, rand.N(2) == 0
	}
	list := []parley.Failure{f}
	_, err := s.table.Keep(ctx, stormConsumer, list)
	if err != nil {
		s.t.Errorf("keep: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept++
}

// work claims rows and ends each claim in one of the possible ways.
func (s *failureStorm[Tx]) work(ctx context.Context, alone bool) {
	claimed, err := s.table.Claim(ctx, stormConsumer, parley.FailureClaimOptions{Limit: 2, KeyRun: 3, Owner: "storm", Lease: time.Minute, Alone: alone})
	if err != nil {
		s.t.Errorf("claim: %v", err)
		return
	}
	stopped := map[string]bool{} // keys whose first row was not handled: the others are released
	for i := range claimed {
		c := &claimed[i]
		action := parley.FailureAction(rand.N(4))
		switch {
		case c.Key != "" && stopped[c.Key]:
			action = parley.FailureRelease
		case action != parley.FailureDone:
			stopped[c.Key] = true
		}
		if action == parley.FailureDone {
			s.handle(ctx, c)
			continue
		}
		o := parley.FailureOutcome{Action: action, History: c.History, Holds: rand.N(2) == 0, After: rand.N(time.Millisecond)}
		if err := s.table.Settle(ctx, c.FailureClaim, o); err != nil {
			s.t.Errorf("settle with action %d: %v", action, err)
		}
	}
	if lost, err := s.table.Renew(ctx, claimsOf(claimed), time.Minute); err != nil || len(lost) != len(claimed) {
		s.t.Errorf("renew settled claims: %d of %d are lost (%v), want all", len(lost), len(claimed), err)
	}
}

func claimsOf(claimed []parley.ClaimedFailure) (out []parley.FailureClaim) {
	for i := range claimed {
		out = append(out, claimed[i].FailureClaim)
	}
	return out
}

// handle is a handler with a transaction.
func (s *failureStorm[Tx]) handle(ctx context.Context, c *parley.ClaimedFailure) {
	s.enter(c.Key)
	err := sqlstore.Retry(ctx, func(err error) bool { return err != nil && !errors.Is(err, parley.ErrClaimLost) && ctx.Err() == nil }, func() error {
		return s.inbox.Once(ctx, stormConsumer, "id:"+c.Message.ID, func(ctx context.Context, tx Tx) error {
			return s.table.DoneIn(ctx, tx, c.FailureClaim)
		})
	})
	if err != nil {
		s.t.Errorf("handle %s: %v", c.Message.ID, err)
	}
	s.mu.Lock()
	s.handled[c.Message.ID]++
	delete(s.busy, c.Key)
	s.mu.Unlock()
	if err := s.table.Settle(ctx, c.FailureClaim, parley.FailureOutcome{Action: parley.FailureDone}); err != nil {
		s.t.Errorf("settle a row that a handler's transaction has deleted: %v", err)
	}
	if err := s.table.Promote(ctx, stormConsumer, c.Key); err != nil {
		s.t.Errorf("promote: %v", err)
	}
}

func (s *failureStorm[Tx]) enter(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key != "" && s.busy[key] {
		s.t.Errorf("two messages of key %s are handled at once", key)
	}
	s.busy[key] = true
}

// operate runs the operations of operators and sweepers meanwhile.
func (s *failureStorm[Tx]) operate(ctx context.Context) {
	parked := parley.FailureQuery{Consumer: stormConsumer, States: []parley.FailureState{parley.FailureParked}}
	_, replayed := s.table.Replay(ctx, parked, time.Microsecond)
	_, swept := s.table.Sweep(ctx, stormConsumer, 0, 100)
	_, listed := s.table.List(ctx, parley.FailureQuery{Consumer: stormConsumer}, 0, 20)
	_, found := s.table.KeysWithRows(ctx, stormConsumer, []string{"1", "2", "3"})
	_, _, due := s.table.NextDue(ctx, stormConsumer)
	_, forgotten := s.inbox.SweepInbox(ctx, stormConsumer, time.Hour, 10)
	if err := errors.Join(replayed, swept, listed, found, due, forgotten); err != nil {
		s.t.Errorf("operate: %v", err)
	}
}
