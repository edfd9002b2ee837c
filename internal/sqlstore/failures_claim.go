package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
)

// Claim claims due rows; see [parley.FailureStore]. A row with an unreadable envelope is parked.
func (f *Failures[T]) Claim(ctx context.Context, consumer string, o parley.FailureClaimOptions) ([]parley.ClaimedFailure, error) {
	if o.Limit < 1 || o.KeyRun < 1 || o.Lease <= 0 {
		return nil, f.fail("claim failed deliveries", fmt.Errorf("limit %d, key run %d and lease %v must be positive", o.Limit, o.KeyRun, o.Lease))
	}
	if o.Alone {
		o.Limit, o.KeyRun = 1, 1
	}
	out, err := f.claim(ctx, consumer, o)
	return out, f.fail("claim failed deliveries", err)
}

// claim retries after it has reordered rows of keys: other rows may be due then.
func (f *Failures[T]) claim(ctx context.Context, consumer string, o parley.FailureClaimOptions) ([]parley.ClaimedFailure, error) {
	for {
		due, err := f.anyDue(ctx, consumer, o)
		if err != nil || !due {
			return nil, err
		}
		var c *claimer[T]
		err = f.own(ctx, func(tx T) error {
			c = &claimer[T]{table: f, tx: tx, consumer: consumer, FailureClaimOptions: o}
			return errors.Join(c.run(ctx), failpoint.Hit("failures.claiming"))
		})
		if err != nil {
			return nil, err
		}
		if len(c.claimed) > 0 || !c.reordered {
			return c.claimed, nil
		}
	}
}

// dueQueries returns the queries for claimable rows: those that wait, those with an expired lease, and those whose lease ends
// so late that it was written while the clock was ahead.
func (f *Failures[T]) dueQueries(o parley.FailureClaimOptions) []string {
	suspects := fmt.Sprintf(" AND f.begun < %d", parley.SuspectAfter)
	if o.Alone {
		suspects = fmt.Sprintf(" AND f.begun >= %d", parley.SuspectAfter)
	}
	from := " FROM " + f.table("due") + " WHERE f.consumer = ? AND f.due_at IS NOT NULL AND f.state = "
	return []string{
		from + "'waiting' AND f.due_at <= " + f.d.Now + suspects,
		from + "'running' AND f.due_at <= " + f.d.Now + suspects,
		from + "'running' AND f.due_at > " + f.d.In(micros(2*o.Lease)) + suspects,
	}
}

// anyDue checks without locks, in one round trip: a claim without due rows writes nothing and begins no transaction.
func (f *Failures[T]) anyDue(ctx context.Context, consumer string, o parley.FailureClaimOptions) (due bool, err error) {
	var parts []string
	var args []any
	for _, q := range f.dueQueries(o) {
		parts, args = append(parts, "EXISTS (SELECT 1"+q+")"), append(args, consumer)
	}
	err = f.each(ctx, "SELECT "+strings.Join(parts, " OR "), args, func() {}, func(rows *sql.Rows) error { return rows.Scan(&due) })
	return due, err
}

// A claimer is one claim, within its transaction.
type claimer[T Tx] struct {
	parley.FailureClaimOptions
	table     *Failures[T]
	tx        Tx
	consumer  string
	due       map[int64]placedFailure // the claimable rows, locked
	runs      [][]placedFailure
	behind    []int64 // rows that have a due time but are not the first ones of their keys
	reordered bool
	claimed   []parley.ClaimedFailure
}

func (c *claimer[T]) run(ctx context.Context) error {
	due, err := c.readDue(ctx)
	if err != nil {
		return fmt.Errorf("read due rows: %w", err)
	}
	if err := c.choose(ctx, due); err != nil {
		return err
	}
	if err := c.lockFollowers(ctx); err != nil {
		return fmt.Errorf("lock rows behind the due ones: %w", err)
	}
	c.cutToSize()
	if err := c.table.update(ctx, c.tx, c.behind, setBehind); err != nil {
		return fmt.Errorf("put rows behind others of their keys: %w", err)
	}
	c.reordered = c.reordered || len(c.behind) > 0
	return c.take(ctx)
}

// readDue locks the due rows, the oldest first.
func (c *claimer[T]) readDue(ctx context.Context) (due []placedFailure, err error) {
	f := c.table
	for _, q := range f.dueQueries(c.FailureClaimOptions) {
		some, err := f.placed(ctx, c.tx, fmt.Sprintf("SELECT %s%s ORDER BY f.due_at, f.id LIMIT %d%s", f.placedColumns(), q, c.Limit, f.d.Free), c.consumer)
		if err != nil {
			return nil, err
		}
		due = append(due, some...)
	}
	slices.SortStableFunc(due, func(a, b placedFailure) int { return cmp.Or(cmp.Compare(a.dueAt, b.dueAt), cmp.Compare(a.id, b.id)) })
	c.due = make(map[int64]placedFailure, len(due))
	for _, p := range due {
		c.due[p.id] = p
	}
	return due, nil
}

// choose builds runs: a row without a key, or the first rows of a key.
func (c *claimer[T]) choose(ctx context.Context, due []placedFailure) error {
	var keys []string
	for _, p := range due {
		if p.key != "" && !slices.Contains(keys, p.key) {
			keys = append(keys, p.key)
		}
	}
	lines, err := c.table.lines(ctx, c.tx, c.consumer, keys, c.KeyRun)
	if err != nil {
		return fmt.Errorf("read the order of keys: %w", err)
	}
	var up []int64
	for _, p := range due {
		if len(c.runs) == c.Limit {
			break
		}
		if p.key == "" {
			c.runs = append(c.runs, []placedFailure{p})
			continue
		}
		l := lines[p.key]
		if l == nil {
			continue // the key is done
		}
		delete(lines, p.key)
		if first := c.chooseOfKey(l); first != 0 {
			up = append(up, first)
		}
	}
	n, _, err := c.table.changeState(ctx, c.tx, up, parley.FailureBehind, "state = 'waiting', due_at = "+c.table.d.Now)
	c.reordered = n > 0
	return err
}

// chooseOfKey chooses the run of one key. If the first row of the key must become due instead, it returns that row.
func (c *claimer[T]) chooseOfKey(l *line) (promote int64) {
	rows := l.all()
	busy := slices.ContainsFunc(rows, c.isBusy)
	var run []placedFailure
	if _, due := c.due[rows[0].id]; due && !busy {
		run = c.follow(rows)
		c.runs = append(c.runs, run)
	} else if rows[0].state == parley.FailureBehind && !busy {
		promote = rows[0].id
	}
	// Other due rows were kept by two processes at once, or belong to a run whose process has crashed.
	for _, p := range rows[len(run):] {
		if _, due := c.due[p.id]; due {
			c.behind = append(c.behind, p.id)
		}
	}
	return promote
}

// isBusy reports whether another process is handling the row.
func (c *claimer[T]) isBusy(p placedFailure) bool {
	left := p.dueAt - p.now
	return p.state == parley.FailureRunning && left > 0 && left <= (2*c.Lease).Microseconds()
}

// follow returns the first row and those that are claimed with it.
func (c *claimer[T]) follow(rows []placedFailure) []placedFailure {
	n := 1
	for n < len(rows) && n < c.KeyRun && rows[n].state != parley.FailureParked && rows[n].begun < parley.SuspectAfter {
		n++
	}
	return rows[:n:n]
}

// lockFollowers locks the rows of runs that are not locked yet. A run ends before a row that another transaction has locked or changed.
func (c *claimer[T]) lockFollowers(ctx context.Context) error {
	var want []int64
	for _, run := range c.runs {
		for _, p := range run[1:] {
			if _, ok := c.due[p.id]; !ok {
				want = append(want, p.id)
			}
		}
	}
	if len(want) == 0 {
		return nil
	}
	rows, err := c.table.lockRows(ctx, c.tx, want, c.table.d.Free)
	if err != nil {
		return err
	}
	locked := maps.Clone(c.due)
	for _, p := range rows {
		locked[p.id] = p
	}
	for i, run := range c.runs {
		end := slices.IndexFunc(run, func(p placedFailure) bool {
			now, ok := locked[p.id]
			return !ok || now.state != p.state || now.claim != p.claim
		})
		if end >= 0 {
			c.cut(i, end)
		}
	}
	return nil
}

// cut ends a run before its n-th row. Due rows after that are put behind.
func (c *claimer[T]) cut(run, n int) {
	for _, p := range c.runs[run][n:] {
		if _, due := c.due[p.id]; due && n > 0 {
			c.behind = append(c.behind, p.id)
		}
	}
	c.runs[run] = c.runs[run][:n]
}

// cutToSize ends the claim where the total size of the bodies exceeds MaxBytes.
func (c *claimer[T]) cutToSize() {
	if c.MaxBytes <= 0 {
		return
	}
	size, none := 0, true
	for i := range c.runs {
		for j, p := range c.runs[i] {
			if size += p.size; size > c.MaxBytes && !none {
				c.cut(i, j)
				c.runs = c.runs[:i+1]
				return
			}
			none = false
		}
	}
}

// take makes the rows of the runs running, and reads them.
func (c *claimer[T]) take(ctx context.Context) error {
	f := c.table
	order := ids(slices.Concat(c.runs...), placedID)
	if len(order) == 0 {
		return nil
	}
	err := f.update(ctx, c.tx, order, "state = 'running', claim = claim + 1, begun = begun + 1, claimed_by = ?, due_at = "+f.d.In(micros(c.Lease)),
		parley.CleanText(c.Owner, 64))
	if err != nil {
		return fmt.Errorf("update claimed rows: %w", err)
	}
	rows, err := f.load(ctx, c.tx, slices.Sorted(slices.Values(order)), "b.body")
	if err != nil {
		return fmt.Errorf("read claimed rows: %w", err)
	}
	found := make(map[int64]*storedFailure, len(rows))
	for i := range rows {
		found[rows[i].ID] = &rows[i]
	}
	for _, id := range order {
		r := found[id]
		if r == nil {
			continue // another program deleted the row between two statements
		}
		if r.damaged != nil {
			if err := c.parkDamaged(ctx, r); err != nil {
				return err
			}
			continue
		}
		c.claimed = append(c.claimed, parley.ClaimedFailure{
			FailureClaim: parley.FailureClaim{ID: id, Number: r.claim, Consumer: r.Consumer, Key: r.Key},
			Message:      r.Message, History: r.History, Begun: r.Begun,
		})
	}
	return nil
}

// parkDamaged parks an unreadable row. Otherwise it would be claimed repeatedly, become a suspect and
// block its key silently.
func (c *claimer[T]) parkDamaged(ctx context.Context, r *storedFailure) error {
	c.reordered = true
	err := c.table.update(ctx, c.tx, []int64{r.ID}, "state = 'parked', due_at = NULL, parked_at = "+c.table.d.Now+", claimed_by = '', begun = 0, reason = ?",
		parley.CleanText(r.damaged.Error(), failureTexts))
	if err != nil {
		return fmt.Errorf("park row %d, whose envelope cannot be read: %w", r.ID, err)
	}
	return nil
}

// NextDue returns how long it is until the earliest row is due; see [parley.FailureStore].
func (f *Failures[T]) NextDue(ctx context.Context, consumer string) (wait time.Duration, ok bool, err error) {
	var parts []string
	for _, state := range []parley.FailureState{parley.FailureWaiting, parley.FailureRunning} {
		parts = append(parts, f.d.Part(fmt.Sprintf("SELECT %s - %s AS wait FROM %s WHERE f.consumer = ? AND f.due_at IS NOT NULL AND f.state = '%s' ORDER BY f.due_at, f.id LIMIT 1",
			f.d.Micros("f.due_at"), f.d.Micros(f.d.Now), f.table("due"), state)))
	}
	err = f.each(ctx, strings.Join(parts, " UNION ALL "), []any{consumer, consumer}, func() { ok = false }, func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		if d := toDuration(n); !ok || d < wait {
			wait = d
		}
		ok = true
		return err
	})
	return wait, ok, f.fail("read the next due time of failed deliveries", err)
}
