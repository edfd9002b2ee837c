package sqlite_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/sqlite"
)

// claimable waits until another relay may claim, and claims.
func claimable(t *testing.T, s *sqlite.Store, mode parley.RelayMode) parley.Batch {
	t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Mode: mode, Limit: 10})
		if err == nil && len(b.Records()) > 0 {
			return b
		}
		if err != nil && !errors.Is(err, parley.ErrStandby) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatal("nobody may ever claim what a crashed relay held")
		}
	}
}

func reminder(due time.Duration) parley.Record {
	return parley.Record{
		Message: parley.Message{Exchange: "mail", RoutingKey: "remind", Kind: parley.KindCommand, Body: []byte("{}")},
		DueAt:   time.Now().Add(due), Tags: map[string]string{"user": "7"},
	}
}

func TestWhatACrashedRelayHeldIsFreeAfterItsLease(t *testing.T) {
	for _, mode := range []parley.RelayMode{parley.ModeOrdered, parley.ModeParallel} {
		t.Run(mode.String(), func(t *testing.T) {
			s := open(t, &sqlite.Config{Lease: 300 * time.Millisecond})
			ids := insert(t, s, reminder(-time.Hour), reminder(-time.Hour))
			crashed := claimable(t, s, mode)
			heir := claimable(t, s, mode)
			if n := len(heir.Records()); n != 2 {
				t.Fatalf("the heir gets %d records, want 2", n)
			}
			// The first one was only frozen, and the broker has accepted one of its records.
			foreign, err := crashed.Settle(t.Context(), ids[:1], nil)
			if err != nil || foreign != 0 {
				t.Errorf("a late settlement returns %d and %v, want 0: the record was there", foreign, err)
			}
			if _, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1}); mode == parley.ModeOrdered && !errors.Is(err, parley.ErrStandby) {
				t.Errorf("a late settlement has ended the heir's lease: %v", err)
			}
			foreign, err = heir.Settle(t.Context(), ids, nil)
			if err != nil || foreign != 1 {
				t.Errorf("the heir's settlement returns %d and %v, want 1: one record was gone", foreign, err)
			}
		})
	}
}

func TestCancelLeavesHeldRecordsAloneUntilTheyAreGivenBack(t *testing.T) {
	s := open(t, nil)
	insert(t, s, reminder(-time.Hour))
	cancel := func() (n int) {
		err := s.InTx(t.Context(), func(tx *sql.Tx) (err error) {
			n, err = s.Cancel(t.Context(), tx, parley.Selection{Exchange: "mail", RoutingKey: "remind", Tags: map[string]string{"user": "7"}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	b := claimable(t, s, parley.ModeOrdered)
	if n := cancel(); n != 0 {
		t.Errorf("cancelled %d records that a relay holds", n)
	}
	if err := b.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := cancel(); n != 1 {
		t.Errorf("cancelled %d records after they were given back, want 1", n)
	}
}

// Each commit wakes every relay: one that wrote while nothing is due would wake itself for ever.
func TestAnIdleRelayWritesNothing(t *testing.T) {
	s := open(t, nil)
	insert(t, s, reminder(time.Hour))
	conn, err := s.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	version := func() (n int64) {
		if err := conn.QueryRowContext(t.Context(), "PRAGMA data_version").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := version()
	for _, mode := range []parley.RelayMode{parley.ModeOrdered, parley.ModeParallel} {
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Mode: mode, Limit: 10})
		if err == nil {
			_, err = b.Settle(t.Context(), nil, nil)
		}
		if err == nil {
			err = b.Release(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if after := version(); after != before {
		t.Errorf("claims of nothing have committed something")
	}
}
