package service

import (
	"errors"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

func TestTheHandlersTransactionDeletesItsFailedDelivery(t *testing.T) {
	for kind, url := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := migrated(t, open(t, &settings.Settings{
				AppID: "test", Queue: "orders", Broker: settings.Broker{URL: "memory:"}, Database: settings.Database{URL: url},
			}, nil))
			if !s.db.Failures().SharesTx(s.db) {
				t.Error("the inbox and the failed deliveries of one database do not share transactions")
			}
			m := parley.Message{Exchange: "user", RoutingKey: "renamed", ID: "m1", Body: []byte("{}")}
			if _, err := s.db.Failures().Keep(t.Context(), "orders", []parley.Failure{{Message: m, State: parley.FailureWaiting}}); err != nil {
				t.Fatal(err)
			}
			claims, err := s.db.Failures().Claim(t.Context(), "orders", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute, Owner: "test"})
			if err != nil || len(claims) != 1 {
				t.Fatalf("claimed %d rows (%v), want one", len(claims), err)
			}
			left := func() int {
				rows, err := s.db.Failures().List(t.Context(), parley.FailureQuery{}, 0, 10)
				if err != nil {
					t.Fatal(err)
				}
				return len(rows)
			}
			rolledBack := errors.New("rolled back")
			for _, end := range []error{rolledBack, nil} {
				err := s.InTx(t.Context(), func(tx *Tx) error {
					return errors.Join(s.db.Failures().DoneIn(t.Context(), tx, claims[0].FailureClaim), end)
				})
				if !errors.Is(err, end) && (err != nil || end != nil) {
					t.Fatal(err)
				}
				want := 0
				if end != nil {
					want = 1
				}
				if n := left(); n != want {
					t.Errorf("%d rows are left after a transaction that ended with %v, want %d", n, end, want)
				}
			}
		})
	}
}

func TestTheInboxBesideTheOutboxOfADjangoServiceSharesTransactionsWithFailedDeliveries(t *testing.T) {
	for kind, url := range databases(t) {
		s := open(t, &settings.Settings{Database: settings.Database{URL: url, Table: DjangoTable}}, nil)
		if !s.db.Failures().SharesTx(s.db) {
			t.Errorf("%s: inbox and failed deliveries do not share transactions", kind)
		}
	}
}
