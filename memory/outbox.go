package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// Insert writes the records within tx and sets their ids, which increase. Ids of
// rolled back transactions are not reused. With UnlessTags it waits for open
// transactions that may decide whether such a record is pending.
func (s *Store) Insert(ctx context.Context, tx *Tx, records []parley.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := tx.usable(ctx); err != nil {
		return err
	}
	before := len(tx.inserted)
	for i := range records {
		rec := &records[i]
		if len(rec.UnlessTags) > 0 {
			pending, err := s.pending(ctx, tx, rec)
			if err != nil {
				tx.inserted = tx.inserted[:before] // all or nothing, like one statement
				return err
			}
			if pending {
				rec.ID = 0
				continue
			}
		}
		s.lastID++
		rec.ID = s.lastID
		tx.inserted = append(tx.inserted, newRow(rec))
	}
	return nil
}

func newRow(rec *parley.Record) *row {
	r := &row{Record: *rec, position: -1}
	r.CreatedAt = time.Now()
	r.Body = bytes.Clone(rec.Body)
	r.Headers = cloneHeaders(rec.Headers)
	r.Tags = maps.Clone(rec.Tags)
	return r
}

func (tx *Tx) usable(ctx context.Context) error {
	if tx.done {
		return ErrTxDone
	}
	return ctx.Err()
}

// pending reports whether a scheduled record has all of rec.UnlessTags.
func (s *Store) pending(ctx context.Context, tx *Tx, rec *parley.Record) (bool, error) {
	sel := parley.Selection{Exchange: rec.Exchange, RoutingKey: rec.RoutingKey, Tags: rec.UnlessTags}
	for {
		undecided, found := s.findPending(tx, sel)
		if found || undecided == nil {
			return found, nil
		}
		if err := tx.waitFor(ctx, undecided); err != nil {
			return false, err
		}
	}
}

// findPending looks for a scheduled record. undecided is another open transaction that has
// inserted or cancelled one.
func (s *Store) findPending(tx *Tx, sel parley.Selection) (undecided *Tx, found bool) {
	for _, r := range s.rows {
		switch {
		case !matches(sel, r) || r.writer == tx && r.gone:
		case r.writer != nil && r.writer != tx && r.gone:
			undecided = r.writer
		default:
			return nil, true
		}
	}
	for other := range s.open {
		if slices.ContainsFunc(other.inserted, func(r *row) bool { return matches(sel, r) }) {
			if other == tx {
				return nil, true
			}
			undecided = other
		}
	}
	return undecided, false
}

// matches reports whether r is a scheduled record that sel selects.
func matches(sel parley.Selection, r *row) bool {
	if sel.ID > 0 {
		return !r.DueAt.IsZero() && r.ID == sel.ID
	}
	return !r.DueAt.IsZero() && r.Exchange == sel.Exchange && r.RoutingKey == sel.RoutingKey && hasTags(r, sel.Tags)
}

func hasTags(r *row, tags map[string]string) bool {
	for name, value := range tags {
		if got, ok := r.Tags[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Cancel deletes the scheduled records that match within tx and returns how many. It
// waits while a relay or another transaction holds one of them.
func (s *Store) Cancel(ctx context.Context, tx *Tx, sel parley.Selection) (int, error) {
	own := func(r *row) { tx.dropInserted(r) }
	n, err := s.change(ctx, tx, sel, own, func(r *row) { r.gone = true })
	tx.acted(ctx, parley.ActionCancelScheduled, sel.String(), n)
	return n, err
}

// LogsSchedule implements parley.ScheduleLogger.
func (s *Store) LogsSchedule() bool { return true }

// Reschedule gives the matching scheduled records another due time within tx and
// returns how many. It waits like Cancel.
func (s *Store) Reschedule(ctx context.Context, tx *Tx, sel parley.Selection, due time.Time) (int, error) {
	own := func(r *row) { r.DueAt = due }
	n, err := s.change(ctx, tx, sel, own, func(r *row) { r.moved = due })
	tx.acted(ctx, parley.ActionMoveScheduled, parley.MoveText(sel, due), n)
	return n, err
}

// change applies own to the matching records that tx has inserted, and other to
// those of the table.
func (s *Store) change(ctx context.Context, tx *Tx, sel parley.Selection, own, other func(*row)) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := tx.usable(ctx); err != nil {
		return 0, err
	}
	found, err := s.lockMatching(ctx, tx, sel)
	if err != nil {
		return 0, err
	}
	for _, r := range found {
		tx.write(r)
		other(r)
	}
	n := len(found)
	for _, r := range slices.Clone(tx.inserted) {
		if matches(sel, r) {
			own(r)
			n++
		}
	}
	return n, nil
}

// lockMatching returns the matching rows of the table, once no relay or other transaction holds any of them.
func (s *Store) lockMatching(ctx context.Context, tx *Tx, sel parley.Selection) ([]*row, error) {
	for {
		var found []*row
		var writer *Tx
		held := false
		for _, r := range s.rows {
			if !matches(sel, r) || r.writer == tx && r.gone {
				continue
			}
			found = append(found, r)
			held = held || r.holder != nil
			if r.writer != nil && r.writer != tx {
				writer = r.writer
			}
		}
		if !held && writer == nil {
			return found, nil
		}
		if err := tx.waitFor(ctx, writer); err != nil {
			return nil, err
		}
	}
}

// Scheduled lists the matching scheduled records that tx sees, soonest first.
// Empty fields of sel match all.
func (s *Store) Scheduled(ctx context.Context, tx *Tx, sel parley.Selection, limit int) ([]parley.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := tx.usable(ctx); err != nil {
		return nil, err
	}
	var found []*row
	add := func(r *row) {
		if sel.ID > 0 {
			if matches(sel, r) {
				found = append(found, r)
			}
			return
		}
		if !r.DueAt.IsZero() && (sel.Exchange == "" || r.Exchange == sel.Exchange) &&
			(sel.RoutingKey == "" || r.RoutingKey == sel.RoutingKey) && hasTags(r, sel.Tags) {
			found = append(found, r)
		}
	}
	for _, r := range s.rows {
		if r.writer != tx {
			add(r)
		} else if !r.gone {
			moved := *r
			moved.DueAt = r.moved
			add(&moved)
		}
	}
	for _, r := range tx.inserted {
		add(r)
	}
	slices.SortFunc(found, sooner[*row])
	out := make([]parley.Record, 0, min(limit, len(found)))
	for _, r := range found[:min(limit, len(found))] {
		out = append(out, r.record())
	}
	return out, nil
}
