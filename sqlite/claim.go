package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/internal/sqlstore"
)

// Claim takes due records for a relay; see [parley.RelaySource]. It writes down in one
// short transaction what the relay holds, for at most Config.Lease: the lease of ordered
// relays and the scheduled records of the batch, or all its records in parallel mode. As
// SQLite's writers cannot wait for each other's work, a Cancel of held records does not
// wait: it neither counts nor deletes them. Nothing is written when nothing is due.
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

// errNothingDue rolls back a claim that has come too late: an empty batch holds nothing.
var errNothingDue = errors.New("nothing is due")

const (
	leased  = "EXISTS (SELECT 1 FROM parley_lease WHERE until > " + now + ")"
	andFree = " AND NOT EXISTS (SELECT 1 FROM parley_held h WHERE h.record_id = o.id AND h.until > " + now + ")"
)

// anyDue looks without writing: each commit would wake all relays, and so itself.
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

// A batch is what one relay holds, as owner.
type batch struct {
	store   *Store
	owner   string
	records []parley.Record
	done    bool
}

func (b *batch) take(ctx context.Context, tx Tx, o parley.ClaimOptions) error {
	until := fmt.Sprintf("%s + %d", now, b.store.cfg.Lease.Microseconds())
	free, err := b.lead(ctx, tx, o.Mode, until)
	if err != nil {
		return err
	}
	if !free {
		return parley.ErrStandby
	}
	// Left behind by relays that crashed.
	if _, err := tx.ExecContext(ctx, "DELETE FROM parley_held WHERE until <= "+now); err != nil {
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
		if o.Mode == parley.ModeParallel || !b.records[i].DueAt.IsZero() {
			ids = append(ids, b.records[i].ID)
		}
	}
	return sqlstore.Chunks(ids, func(list string) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO parley_held (record_id, owner, until) SELECT id, ?, "+until+
			" FROM parley_outbox WHERE id IN "+list, b.owner)
		return err
	})
}

// lead takes the lease for an ordered relay, and looks that nobody has it for a parallel one.
func (b *batch) lead(ctx context.Context, tx Tx, mode parley.RelayMode, until string) (free bool, err error) {
	if mode == parley.ModeParallel {
		err = tx.QueryRowContext(ctx, "SELECT NOT "+leased).Scan(&free)
		return free, err
	}
	n, err := sqlstore.Exec(ctx, tx, "UPDATE parley_lease SET owner = ?, until = "+until+" WHERE until <= "+now, b.owner)
	return n == 1, err
}

// Records implements parley.Batch.
func (b *batch) Records() []parley.Record { return b.records }

var errEnded = errors.New("the batch was settled or released before")

// Settle implements parley.Batch. Sent records are deleted by their ids even if the lease
// has run out meanwhile: the broker has them. What a successor has removed is reported.
func (b *batch) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (foreign int, err error) {
	if b.done {
		return 0, fail("settle batch", errEnded)
	}
	if len(b.records)+len(sent)+len(parked) == 0 {
		b.done = true
		return 0, nil
	}
	err = sqlstore.Own(ctx, &b.store.engine, func(tx Tx) error {
		if foreign, err = sqlstore.Finish(ctx, &b.store.engine, tx, sent, parked); err == nil {
			err = failpoint.Hit("store.deleted")
		}
		if err != nil {
			return err
		}
		return errors.Join(b.letGo(ctx, tx), failpoint.Hit("store.committing"))
	})
	b.done = err == nil
	if err == nil {
		err = failpoint.Hit("store.committed")
	}
	return foreign, fail("settle batch", err)
}

// Release implements parley.Batch.
func (b *batch) Release(ctx context.Context) error {
	if b.done || len(b.records) == 0 {
		b.done = true
		return nil
	}
	err := sqlstore.Own(ctx, &b.store.engine, func(tx Tx) error { return b.letGo(ctx, tx) })
	b.done = err == nil
	return fail("release batch", err)
}

// letGo frees what is still this batch's own.
func (b *batch) letGo(ctx context.Context, tx Tx) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM parley_held WHERE owner = ?", b.owner); err != nil {
		return fmt.Errorf("free records: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE parley_lease SET owner = '', until = 0 WHERE owner = ?", b.owner); err != nil {
		return fmt.Errorf("free lease: %w", err)
	}
	return nil
}
