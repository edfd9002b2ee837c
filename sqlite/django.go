package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"slices"
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
	// WatchInterval is how often a relay checks whether another connection has committed.
	// Default: 20ms.
	WatchInterval time.Duration
	// Lease is how long a relay may hold rows without settling them. Then other relays may claim
	// them. It must be longer than RelayConfig.HoldLimit. Default: 15s.
	Lease time.Duration
}

type djangoEngine = sqlstore.Django[Tx]

// A DjangoStore works on the unmodified table of django-microservices-communication in a
// SQLite file, together with Django code. A relay drains the table instead of manage.py runpublisher,
// and Go code publishes, schedules and cancels in it. The store adds no table and no column. Times
// in the table are UTC, as Django stores them unless DATABASES sets another TIME_ZONE.
//
// The rows that a relay holds, and until when, are stored in a small file beside the database, named
// after it with the suffix "-parley-relay". It is read and written only while SQLite's
// write lock is held. All processes that relay or cancel need access to it, and so to the
// database's folder, which SQLite needs too. As in a Store, Cancel and Reschedule do not change
// or count rows that a relay holds. The rows of a crashed relay are released after
// DjangoConfig.Lease.
//
// A row that the broker can never accept stays in the table, because parley has no table to park it in.
// This process ignores the row from then on.
type DjangoStore struct {
	*djangoEngine
	base *Store
}

// NewDjango returns a store on a Django service's table. db must meet the conditions of [New], which also says
// when it fails; the table must exist when the store is used.
func NewDjango(db *sql.DB, cfg *DjangoConfig) (*DjangoStore, error) {
	var c DjangoConfig
	if cfg != nil {
		c = *cfg
	}
	base, err := New(db, &Config{WatchInterval: c.WatchInterval, Lease: c.Lease})
	if err != nil {
		return nil, err
	}
	base.table = DjangoTable
	s := &DjangoStore{base: base}
	s.djangoEngine = sqlstore.NewDjango(sqlstore.DjangoDialect{
		Package: "sqlite", AppID: c.AppID,
		Now:     "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')", // with as many digits as Django writes
		Earlier: "min",
		Text:    func(expr string) string { return "CAST(" + expr + " AS TEXT)" }, // otherwise the driver returns times
		Columns: "SELECT name FROM pragma_table_info('" + DjangoTable + "')",
		ByID:    DjangoTable,
		Delete:  func(list string) string { return deleteByID(DjangoTable, list) },
		Exact:   exact,

		Transient:    transient,
		BeforeChange: func(ctx context.Context, tx sqlstore.Tx) error { return lockTable(ctx, tx, DjangoTable) },
		Held:         s.heldByRelays,
	}, db, base.begin)
	return s, nil
}

// InTx runs fn in a transaction that has the write lock from its beginning; see [Store.InTx].
func (s *DjangoStore) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return s.base.InTx(ctx, fn)
}

// Watch implements parley.RelayWaker; see [Store.Watch].
func (s *DjangoStore) Watch(ctx context.Context, wake func()) error { return s.base.Watch(ctx, wake) }

// Claim implements parley.RelaySource; see [Store.Claim].
func (s *DjangoStore) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	b := &djangoBatch{store: s, owner: rand.Text()}
	due, err := sqlstore.AnyDjangoDue(ctx, s.djangoEngine, o)
	if err == nil && due {
		err = s.own(ctx, func(tx Tx) error { return b.take(ctx, tx, o) })
	}
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, parley.ErrStandby):
		return nil, parley.ErrStandby
	}
	return nil, fail("claim rows", err)
}

func (s *DjangoStore) own(ctx context.Context, fn func(tx Tx) error) error {
	return sqlstore.OwnDjango(ctx, s.djangoEngine, fn) // with the write lock, like transactions of the base
}

// A djangoBatch is the set of rows that one relay holds, as owner.
type djangoBatch struct {
	store *DjangoStore
	owner string
	rows  []parley.Record
	done  bool
}

func (b *djangoBatch) take(ctx context.Context, tx Tx, o parley.ClaimOptions) error {
	leases, err := b.store.leases()
	if err != nil {
		return err
	}
	var held []int64
	for _, l := range leases {
		if l.Ordered || o.Mode == parley.RelayModeOrdered {
			return parley.ErrStandby
		}
		held = append(held, l.Rows...)
	}
	if b.rows, err = sqlstore.ReadDjango(ctx, b.store.djangoEngine, tx, o, held, ""); err != nil || len(b.rows) == 0 {
		return err
	}
	length := b.store.base.cfg.Lease
	l := lease{Owner: b.owner, Until: time.Now().Add(length), Length: length, Ordered: o.Mode == parley.RelayModeOrdered}
	for i := range b.rows {
		l.Rows = append(l.Rows, b.rows[i].ID)
	}
	return b.store.writeLeases(append(leases, l))
}

// Records implements parley.Batch.
func (b *djangoBatch) Records() []parley.Record { return b.rows }

// Settle implements parley.Batch. Parked rows stay in the table; this process ignores them from then on.
func (b *djangoBatch) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (elsewhere int, err error) {
	if b.done {
		return 0, fail("settle batch", errEnded)
	}
	if len(b.rows)+len(sent) > 0 {
		err = b.store.own(ctx, func(tx Tx) error {
			if elsewhere, err = b.finish(ctx, tx, sent); err != nil {
				return err
			}
			// Before the commit: if that fails, the rows are released a little earlier.
			return b.store.dropLease(b.owner)
		})
	}
	if err != nil {
		return 0, fail("settle batch", err)
	}
	b.done = true
	sqlstore.SkipDjango(b.store.djangoEngine, parked)
	return elsewhere, nil
}

// finish deletes the sent rows that are unchanged: the lease may have expired.
func (b *djangoBatch) finish(ctx context.Context, tx Tx, sent []int64) (elsewhere int, err error) {
	same, err := sqlstore.UnchangedDjango(ctx, b.store.djangoEngine, tx, b.rows, sent)
	if err != nil {
		return 0, err
	}
	fits := slices.DeleteFunc(slices.Clone(sent), func(id int64) bool { return !same[id] })
	elsewhere, err = sqlstore.FinishDjango(ctx, b.store.djangoEngine, tx, fits)
	return elsewhere + len(sent) - len(fits), err
}

// Release implements parley.Batch.
func (b *djangoBatch) Release(ctx context.Context) error {
	if b.done || len(b.rows) == 0 {
		b.done = true
		return nil
	}
	err := b.store.own(ctx, func(Tx) error { return b.store.dropLease(b.owner) })
	b.done = err == nil
	return fail("release batch", err)
}
