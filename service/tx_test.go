package service

import (
	"testing"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/settings"
)

// After a failover a session may stay read-only until it is closed. The first error of a producer removes it from the pool.
func TestInTxDropsAReadOnlySession(t *testing.T) {
	s := openURL(t, settings.URL(testenv.Postgres(t))) // sequential calls use one session
	exec := func(statements ...string) error {
		return s.InTx(t.Context(), func(tx *Tx) error {
			for _, q := range statements {
				if _, err := tx.Pgx.Exec(t.Context(), q); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := exec("CREATE TABLE seen (n int)", "SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
	if err := exec("INSERT INTO seen VALUES (1)"); err == nil {
		t.Fatal("a read-only session has written")
	}
	if err := exec("INSERT INTO seen VALUES (1)"); err != nil {
		t.Errorf("the session that is read-only is still in the pool: %v", err)
	}
}
