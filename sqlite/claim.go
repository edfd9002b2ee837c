package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/internal/sqlstore"
)

// Claim claims due records for a relay; see [parley.RelaySource]. One short transaction stores
// what the relay holds, for at most Config.Lease: the lease of ordered
// relays and the scheduled records of the batch, or all its records in parallel mode.
// SQLite's writers cannot wait for row locks. So a Cancel of held records does not
// wait: it neither counts nor deletes them. Nothing is written if no record is due.
// A parallel relay stands by while an ordered one holds a batch.
func (s *Store) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	b := &batch{store: s, owner: rand.Text()}
	due, err := s.anyDue(ctx, o)
	if err == nil && due {
		err = sqlstore.Own(ctx, &s.engine, func(tx Tx) error { return b.take(ctx, tx, o) })
	}
	switch {
	case err == nil, errors.Is(err, errNothingDue):
		return b, nil
	case errors.Is(err, parley.ErrStandby):
		return nil, parley.ErrStandby
	}
	return nil, fail("claim records", err)
}

// errNothingDue rolls back a claim that came too late: an empty batch holds no record.
var errNothingDue = errors.New("nothing is due")

const (
	leased  = "EXISTS (SELECT 1 FROM parley_lease WHERE " + lasting + ")"
	andFree = " AND NOT EXISTS (SELECT 1 FROM parley_held h WHERE h.record_id = o.id AND " + lasting + ")"
)

// anyDue checks without writing: each commit would wake all relays, including this one.
func (s *Store) anyDue(ctx context.Context, o parley.ClaimOptions) (due bool, err error) {
	q, args := anyDueQuery(o.Except)
	var standby bool
	err = sqlstore.Retry(ctx, transient, func() error {
		return s.db.QueryRowContext(ctx, q, args...).Scan(&standby, &due)
	})
	if err == nil && standby {
		err = parley.ErrStandby
	}
	return due, err
}

func anyDueQuery(except []string) (query string, args []any) {
	marks, names := sqlstore.Placeholders(except)
	free := andFree + " AND o.exchange NOT IN (" + marks + ")"
	from := "EXISTS (SELECT 1 FROM " + byDue + " WHERE o.due_at "
	return "SELECT " + leased + ", " + from + "IS NULL" + free + ") OR " + from + "<= " + now + free + ")", append(names, names...)
}

// A batch is the set of records that one relay holds, as owner.
type batch struct {
	store   *Store
	owner   string
	records []parley.Record
	done    bool
}

func (b *batch) take(ctx context.Context, tx Tx, o parley.ClaimOptions) error {
	length := b.store.cfg.Lease.Microseconds()
	until := fmt.Sprintf("%s + %d", now, length)
	free, err := b.lead(ctx, tx, o.Mode, until)
	if err != nil {
		return err
	}
	if !free {
		return parley.ErrStandby
	}
	// These rows are left from crashed relays.
	if _, err := tx.ExecContext(ctx, "DELETE FROM parley_held WHERE NOT ("+lasting+")"); err != nil {
		return err
	}
	if b.records, err = sqlstore.ReadDue(ctx, &b.store.engine, tx, o, andFree, ""); err != nil {
		return err
	}
	if len(b.records) == 0 {
		return errNothingDue
	}
	var ids []int64
	for i := range b.records {
		if o.Mode == parley.RelayModeParallel || !b.records[i].DueAt.IsZero() {
			ids = append(ids, b.records[i].ID)
		}
	}
	return sqlstore.Chunks(ids, func(list string) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO parley_held (record_id, owner, until, length) SELECT id, ?, "+until+
			", ? FROM parley_outbox WHERE id IN "+list, b.owner, length)
		return err
	})
}

// lead takes the lease for an ordered relay, and checks for a parallel one that no relay has it.
func (b *batch) lead(ctx context.Context, tx Tx, mode parley.RelayMode, until string) (free bool, err error) {
	if mode == parley.RelayModeParallel {
		err = tx.QueryRowContext(ctx, "SELECT NOT "+leased).Scan(&free)
		return free, err
	}
	n, err := sqlstore.Exec(ctx, tx, "UPDATE parley_lease SET owner = ?, length = ?, until = "+until+" WHERE NOT ("+lasting+")",
		b.owner, b.store.cfg.Lease.Microseconds())
	return n == 1, err
}

// Records implements parley.Batch.
func (b *batch) Records() []parley.Record { return b.records }

var errEnded = errors.New("the batch was settled or released before")

// Settle implements parley.Batch. Sent records are deleted even if the lease has expired
// meanwhile, because the broker has them, but only if they are unchanged. Records that a successor has deleted,
// or that were changed meanwhile, are counted.
func (b *batch) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (elsewhere int, err error) {
	if b.done {
		return 0, fail("settle batch", errEnded)
	}
	if len(b.records)+len(sent)+len(parked) == 0 {
		b.done = true
		return 0, nil
	}
	err = sqlstore.Own(ctx, &b.store.engine, func(tx Tx) error {
		if elsewhere, err = b.finish(ctx, tx, sent, parked); err == nil {
			err = failpoint.Hit("store.deleted")
		}
		if err != nil {
			return err
		}
		return errors.Join(b.free(ctx, tx), failpoint.Hit("store.committing"))
	})
	b.done = err == nil
	if err == nil {
		err = failpoint.Hit("store.committed")
	}
	return elsewhere, fail("settle batch", err)
}

func (b *batch) finish(ctx context.Context, tx Tx, sent []int64, parked []parley.Parked) (elsewhere int, err error) {
	ids := slices.Clone(sent)
	for i := range parked {
		ids = append(ids, parked[i].Record.ID)
	}
	same, err := sqlstore.Unchanged(ctx, &b.store.engine, tx, b.records, ids)
	if err != nil {
		return 0, err
	}
	sent = slices.DeleteFunc(slices.Clone(sent), func(id int64) bool { return !same[id] })
	parked = slices.DeleteFunc(slices.Clone(parked), func(p parley.Parked) bool { return !same[p.Record.ID] })
	elsewhere, err = sqlstore.Finish(ctx, &b.store.engine, tx, sent, parked)
	return elsewhere + len(ids) - len(sent) - len(parked), err
}

// Release implements parley.Batch.
func (b *batch) Release(ctx context.Context) error {
	if b.done || len(b.records) == 0 {
		b.done = true
		return nil
	}
	err := sqlstore.Own(ctx, &b.store.engine, func(tx Tx) error { return b.free(ctx, tx) })
	b.done = err == nil
	return fail("release batch", err)
}

// free releases the records that this batch still holds.
func (b *batch) free(ctx context.Context, tx Tx) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM parley_held WHERE owner = ?", b.owner); err != nil {
		return fmt.Errorf("release records: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE parley_lease SET owner = '', until = 0 WHERE owner = ?", b.owner); err != nil {
		return fmt.Errorf("release lease: %w", err)
	}
	return nil
}
