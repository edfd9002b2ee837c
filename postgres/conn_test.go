package postgres_test

import (
	"database/sql"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/parley-go/parley/postgres"
)

func TestAPoolIsNoTransaction(t *testing.T) {
	for transaction, outside := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[pgx.Tx]():      reflect.TypeFor[*pgxpool.Pool](),
		reflect.TypeFor[postgres.Tx](): reflect.TypeFor[*sql.DB](),
	} {
		if outside.Implements(transaction) {
			t.Errorf("outbox.In accepts a %v where it needs a %v", outside, transaction)
		}
	}
	if tx := reflect.TypeFor[*sql.Tx](); !tx.Implements(reflect.TypeFor[postgres.Tx]()) {
		t.Errorf("outbox.In does not accept a %v", tx)
	}
}
