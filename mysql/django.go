package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// DjangoTable is the outbox table of the Python library.
const DjangoTable = sqlstore.DjangoTable

// DjangoConfig configures a store on the table of a Django service.
type DjangoConfig struct {
	// AppID is the app_id of messages that the relay publishes: APP_ID in Django's settings.
	AppID string
	// WatchInterval is how often a relay checks for new rows. Default: 20ms.
	WatchInterval time.Duration
	// RelayDB gives the relay connections of its own; see [Config]. Default: the store's.
	RelayDB *sql.DB
}

type djangoEngine = sqlstore.Django[Tx]

// A DjangoStore works on the unmodified table of django-microservices-communication, together
// with Django code. A relay drains the table instead of manage.py runpublisher, and Go code
// publishes, schedules and cancels in it. The store adds no table and no column. Times in the
// table are UTC, as Django stores them unless DATABASES sets another TIME_ZONE.
//
// Ordered relays exclude each other by GET_LOCK, on the connection of the transaction
// that has locked the rows. A relay that freezes loses both when the server ends its
// session after 15 silent seconds. The relay needs SELECT, DELETE and UPDATE of any one
// column; publishing needs INSERT, SELECT and UPDATE.
//
// Cancel and Reschedule see the rows as of the transaction's snapshot: at REPEATABLE READ
// that is its first SELECT, so use READ COMMITTED, as InTx and Django do.
//
// A row that the broker can never accept stays in the table, because parley has no table to park it in.
// This process ignores the row from then on.
type DjangoStore struct {
	*djangoEngine
	base   *Store
	python pythonWatch
}

// NewDjango returns a store on a Django service's table. db must meet the conditions of [New], which also says
// when it fails; the table must exist when the store is used.
func NewDjango(db *sql.DB, cfg *DjangoConfig) (*DjangoStore, error) {
	var c DjangoConfig
	if cfg != nil {
		c = *cfg
	}
	base, err := New(db, &Config{WatchInterval: c.WatchInterval, RelayDB: c.RelayDB})
	if err != nil {
		return nil, err
	}
	s := &DjangoStore{base: base}
	s.djangoEngine = sqlstore.NewDjango(sqlstore.DjangoDialect{
		Package: "mysql", AppID: c.AppID,
		Now:          now,
		Earlier:      "LEAST",
		Text:         func(expr string) string { return "CAST(" + expr + " AS CHAR)" }, // independent of parseTime and loc
		Columns:      "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '" + DjangoTable + "'",
		ByID:         DjangoTable + " FORCE INDEX (PRIMARY)",
		Delete:       func(list string) string { return deleteByID(DjangoTable, list) },
		Exact:        exact,
		Lock:         " FOR UPDATE",
		LockFree:     skipLocked,
		Transient:    transient,
		BeforeChange: func(context.Context, sqlstore.Tx) error { return nil },
		Held:         func() (map[int64]bool, error) { return nil, nil }, // rows are held by row locks
	}, db, base.begin)
	sqlstore.DjangoOnItsOwn(s.djangoEngine, base.relay, base.beginOwn)
	return s, nil
}

// InTx runs fn in a transaction at READ COMMITTED; see [Store.InTx].
func (s *DjangoStore) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return s.base.InTx(ctx, fn)
}

// Watch implements parley.RelayWaker. Every DjangoConfig.WatchInterval it reads the
// first and the last row. A row that is moved to an earlier time is found by polling.
func (s *DjangoStore) Watch(ctx context.Context, wake func()) error {
	err := s.base.pollFor(ctx, "SELECT MIN(id), MAX(id), NULL FROM "+DjangoTable, wake)
	if ctx.Err() != nil {
		return nil
	}
	return fail("watch for rows", err)
}

// Claim implements parley.RelaySource; see [Store.Claim].
func (s *DjangoStore) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	if err := s.base.checkSession(ctx); err != nil {
		return nil, fail("claim rows", err)
	}
	var b *djangoBatch
	err := sqlstore.Retry(ctx, transient, func() error {
		b = &djangoBatch{store: s}
		due, err := sqlstore.AnyDjangoDue(ctx, s.djangoEngine, o)
		if err != nil || !due {
			return err
		}
		if b.batch, err = s.base.hold(ctx); err != nil {
			return err
		}
		if err = b.take(ctx, o); err != nil {
			b.stale = isReadOnly(err)
			return errors.Join(err, b.end())
		}
		return nil
	})
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, parley.ErrStandby):
		return nil, parley.ErrStandby
	}
	return nil, fail("claim rows", err)
}

// A djangoBatch is a batch whose ordered relay has a session lock. An empty one has
// no batch.
type djangoBatch struct {
	*batch
	store *DjangoStore
	rows  []parley.Record
	leads bool
	ended bool
}

// leadName is the lock of ordered relays on this database; a server may have many databases.
const leadName = "CONCAT('parley relay ', LEFT(SHA2(CONCAT(DATABASE(), '." + DjangoTable + "'), 256), 32))"

func (b *djangoBatch) take(ctx context.Context, o parley.ClaimOptions) (err error) {
	if o.Mode == parley.RelayModeOrdered {
		var got sql.NullBool
		if err := b.tx.QueryRowContext(ctx, "SELECT GET_LOCK("+leadName+", 0)").Scan(&got); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if !got.Bool {
			return parley.ErrStandby
		}
		b.leads = true
	}
	b.rows, err = sqlstore.ReadDjango(ctx, b.store.djangoEngine, Tx(b.tx), o, nil, " FOR UPDATE SKIP LOCKED")
	return err
}

// Records implements parley.Batch.
func (b *djangoBatch) Records() []parley.Record { return b.rows }

// Settle implements parley.Batch. Parked rows stay in the table; this process ignores
// them from then on. After an error the rows are released.
func (b *djangoBatch) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (elsewhere int, err error) {
	if b.ended {
		return 0, fail("settle batch", errEnded)
	}
	if b.batch == nil {
		b.ended = true
		if len(sent) > 0 {
			err = fmt.Errorf("%d rows are not of this batch, which is empty", len(sent))
		}
		return 0, fail("settle batch", err)
	}
	others := b.store.python.count(ctx, b.tx)
	if elsewhere, err = sqlstore.FinishDjango(ctx, b.store.djangoEngine, b.tx, sent); err == nil {
		err = b.tx.Commit()
	}
	if err != nil {
		b.stale = isReadOnly(err)
		return 0, fail("settle batch", errors.Join(err, b.end()))
	}
	sqlstore.SkipDjango(b.store.djangoEngine, parked)
	return elsewhere + others, fail("settle batch", b.end())
}

// Release implements parley.Batch.
func (b *djangoBatch) Release(context.Context) error { return fail("release batch", b.end()) }

// end rolls back uncommitted changes, and then releases the lock for the next relay.
func (b *djangoBatch) end() error {
	if b.ended || b.batch == nil {
		b.ended = true
		return nil
	}
	b.ended = true
	if b.leads {
		if err := b.tx.Rollback(); err == nil || errors.Is(err, sql.ErrTxDone) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if _, err := b.conn.ExecContext(ctx, "DO RELEASE_LOCK("+leadName+")"); err != nil {
				discard(b.conn) // which also releases the lock
			}
		}
	}
	return b.batch.end()
}
