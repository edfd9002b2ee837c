package sqlite_test

import (
	"database/sql"
	"errors"
	"path/filepath"
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
			t.Fatal("the records of a crashed relay can never be claimed")
		}
	}
}

func reminder(due time.Duration) parley.Record {
	return parley.Record{
		Message: parley.Message{Exchange: "mail", RoutingKey: "remind", Kind: parley.KindCommand, Body: []byte("{}")},
		DueAt:   time.Now().Add(due), Tags: map[string]string{"user": "7"},
	}
}

func TestRecordsOfACrashedRelayAreReleasedAfterItsLease(t *testing.T) {
	for _, mode := range []parley.RelayMode{parley.RelayModeOrdered, parley.RelayModeParallel} {
		t.Run(mode.String(), func(t *testing.T) {
			s := open(t, &sqlite.Config{Lease: 300 * time.Millisecond})
			ids := insert(t, s, reminder(-time.Hour), reminder(-time.Hour))
			crashed := claimable(t, s, mode)
			heir := claimable(t, s, mode)
			if n := len(heir.Records()); n != 2 {
				t.Fatalf("the heir gets %d records, want 2", n)
			}
			// The first relay was only frozen, and the broker has accepted one of its records.
			elsewhere, err := crashed.Settle(t.Context(), ids[:1], nil)
			if err != nil || elsewhere != 0 {
				t.Errorf("a late settlement returns %d and %v, want 0: the record still existed", elsewhere, err)
			}
			if _, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1}); mode == parley.RelayModeOrdered && !errors.Is(err, parley.ErrStandby) {
				t.Errorf("a late settlement has ended the heir's lease: %v", err)
			}
			elsewhere, err = heir.Settle(t.Context(), ids, nil)
			if err != nil || elsewhere != 1 {
				t.Errorf("the heir's settlement returns %d and %v, want 1: one record was deleted elsewhere", elsewhere, err)
			}
		})
	}
}

func TestCancelSkipsHeldRecordsUntilTheyAreReleased(t *testing.T) {
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
	b := claimable(t, s, parley.RelayModeOrdered)
	if n := cancel(); n != 0 {
		t.Errorf("cancelled %d records that a relay holds", n)
	}
	if err := b.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := cancel(); n != 1 {
		t.Errorf("cancelled %d records after they were released, want 1", n)
	}
}

// Each commit wakes every relay: one that wrote while nothing is due would wake itself indefinitely.
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
	for _, mode := range []parley.RelayMode{parley.RelayModeOrdered, parley.RelayModeParallel} {
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
		t.Errorf("claims without due records have committed")
	}
}

// The clock of the machine was an hour ahead when a relay claimed, and was corrected later.
func TestALeaseWrittenByAFastClockIsInvalid(t *testing.T) {
	for _, mode := range []parley.RelayMode{parley.RelayModeOrdered, parley.RelayModeParallel} {
		t.Run(mode.String(), func(t *testing.T) {
			s := open(t, nil)
			insert(t, s, reminder(-time.Hour))
			claimable(t, s, mode)
			heir := func() error {
				b, err := s.Claim(t.Context(), parley.ClaimOptions{Mode: mode, Limit: 10})
				if err == nil && len(b.Records()) == 0 {
					err = parley.ErrStandby
				}
				return err
			}
			if err := heir(); !errors.Is(err, parley.ErrStandby) {
				t.Fatalf("within the lease another relay gets %v, want ErrStandby", err)
			}
			for _, q := range []string{"UPDATE parley_lease SET until = until + 3600000000 WHERE until > 0", "UPDATE parley_held SET until = until + 3600000000"} {
				if _, err := s.DB().ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			if err := heir(); err != nil {
				t.Errorf("a lease that ends in an hour, of relays with leases of 15s, blocks another relay: %v", err)
			}
		})
	}
}

func TestALongLeaseOfAnotherRelayIsHonoured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	patient, brief := openAt(t, path, &sqlite.Config{Lease: time.Hour}), openAt(t, path, &sqlite.Config{Lease: time.Second})
	insert(t, patient, reminder(-time.Hour))
	claimable(t, patient, parley.RelayModeOrdered)
	if _, err := brief.Claim(t.Context(), parley.ClaimOptions{Limit: 10}); !errors.Is(err, parley.ErrStandby) {
		t.Errorf("while a relay has a lease of an hour, another one with a lease of a second gets %v, want ErrStandby", err)
	}
}
