package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-go/parley"
)

// Claim implements parley.FailureStore.
func (f *failures[Tx]) Claim(ctx context.Context, consumer string, o parley.FailureClaimOptions) ([]parley.ClaimedFailure, error) {
	if o.Limit < 1 || o.KeyRun < 1 || o.Lease <= 0 {
		return nil, fmt.Errorf("postgres: claim failed deliveries: limit %d, key run %d and lease %v must be positive", o.Limit, o.KeyRun, o.Lease)
	}
	if o.Alone {
		o.Limit, o.KeyRun = 1, 1
	}
	p := &claimer[Tx]{f: f, consumer: consumer, FailureClaimOptions: o}
	err := f.inTx(ctx, func(c ownTx) error {
		if err := p.choose(ctx, c); err != nil {
			return err
		}
		return p.take(ctx, c)
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: claim failed deliveries: %w", err)
	}
	f.promoteAfter(ctx, consumer, p.demotedKeys)
	return p.taken, p.parkDamaged(ctx)
}

// A claimer collects the rows of one call of Claim.
type claimer[Tx any] struct {
	f        *failures[Tx]
	consumer string
	parley.FailureClaimOptions

	chosen      []candidate
	firsts      int // rows that count toward Limit
	bytes       int
	full        bool // there is no room for the body of the next row
	demotedKeys []string
	taken       []parley.ClaimedFailure
	damaged     []damagedFailure
}

// A candidate is a locked row.
type candidate struct {
	id      int64
	key     string
	size    int
	blocked bool // it is not the first row of its key, or one of its key is running
}

// choose locks rows. A row that is due although it must stay behind another row becomes behind. Such a row
// belonged to a run whose owner has crashed, or an earlier row was replayed.
func (p *claimer[Tx]) choose(ctx context.Context, c ownTx) error {
	statements := []statement{prepare()}
	for first := true; ; first = false {
		var due, ahead, heads []candidate
		statements = append(statements, p.candidates(p.due(), &due))
		if first {
			statements = append(statements, p.candidates(p.clockAhead(), &ahead))
		}
		if err := c.all(ctx, statements...); err != nil {
			return err
		}
		demoted, mayGo := p.sort(append(due, ahead...), &heads)
		if len(demoted) > 0 {
			if err := c.all(ctx, p.demote(demoted)); err != nil {
				return err
			}
		}
		if err := p.chooseRuns(ctx, c, heads); err != nil {
			return err
		}
		if mayGo || p.full || p.firsts >= p.Limit {
			return nil
		}
		statements = statements[:0]
	}
}

// due returns the condition and the order of due rows.
func (p *claimer[Tx]) due() string {
	return "f.due_at IS NOT NULL AND f.begun " + p.begun() + " AND f.due_at <= statement_timestamp() AND f.id <> ALL($4::text::bigint[]) ORDER BY f.due_at, f.id"
}

// clockAhead returns the condition of running rows whose lease was set by a clock that was ahead.
func (p *claimer[Tx]) clockAhead() string {
	return "f.state = 'running' AND f.begun " + p.begun() + " AND f.due_at > statement_timestamp() + make_interval(secs => 2 * $3::float8)" +
		" AND f.id <> ALL($4::text::bigint[]) ORDER BY f.id"
}

func (p *claimer[Tx]) begun() string {
	if p.Alone {
		return suspected
	}
	return unsuspected
}

// candidates locks the rows of a condition and skips those that other transactions have locked.
func (p *claimer[Tx]) candidates(condition string, out *[]candidate) statement {
	t := p.f.e.names.failed
	q := "SELECT f.id, f.ordering_key, f.size, f.ordering_key <> '' AND (" + p.f.hasEarlier() + " OR EXISTS (SELECT 1 FROM " + t +
		" o WHERE o.consumer = f.consumer AND o.ordering_key = f.ordering_key AND " + isRunning +
		" AND o.due_at <= statement_timestamp() + make_interval(secs => 2 * $3::float8) AND o.id <> f.id)) FROM " + t +
		" f WHERE f.consumer = $1 AND " + condition + " LIMIT $2 FOR UPDATE OF f SKIP LOCKED"
	args := []any{p.consumer, p.Limit - p.firsts, seconds(p.Lease), idList(p.ids())}
	return statement{query: q, args: args, scan: func(row scanner) error {
		var r candidate
		err := row.Scan(&r.id, &r.key, &r.size, &r.blocked)
		*out = append(*out, r)
		return err
	}}
}

func (p *claimer[Tx]) ids() []int64 {
	ids := make([]int64, len(p.chosen))
	for i := range p.chosen {
		ids[i] = p.chosen[i].id
	}
	return ids
}

// sort separates rows that go first from those that become behind. done means that no further rows are needed.
func (p *claimer[Tx]) sort(rows []candidate, heads *[]candidate) (demoted []int64, done bool) {
	for _, r := range rows {
		if !r.blocked {
			*heads = append(*heads, r)
			continue
		}
		demoted = append(demoted, r.id)
		p.demotedKeys = append(p.demotedKeys, r.key)
	}
	return demoted, len(demoted) == 0
}

func (p *claimer[Tx]) demote(ids []int64) statement {
	q := "UPDATE " + p.f.e.names.failed + " SET state = 'behind', due_at = NULL, claimed_by = '' WHERE id = ANY($1::text::bigint[])"
	return statement{query: q, args: []any{idList(ids)}}
}

// chooseRuns chooses first rows with those behind them, as far as there is room for their bodies.
func (p *claimer[Tx]) chooseRuns(ctx context.Context, c ownTx, heads []candidate) error {
	behind, err := p.followers(ctx, c, heads)
	if err != nil {
		return err
	}
	for _, head := range heads {
		if p.firsts >= p.Limit || !p.choosing(head) {
			return nil
		}
		p.firsts++
		for _, r := range behind[head.id] {
			if !p.choosing(r) {
				return nil
			}
		}
	}
	return nil
}

// choosing chooses a row if there is room for its body.
func (p *claimer[Tx]) choosing(r candidate) bool {
	if p.MaxBytes > 0 && len(p.chosen) > 0 && p.bytes+r.size > p.MaxBytes {
		p.full = true
		return false
	}
	p.bytes += r.size
	p.chosen = append(p.chosen, r)
	return true
}

// followers locks the rows that may be claimed with their first row, and returns them by its id. A run ends before a row that
// is locked or may not be claimed.
func (p *claimer[Tx]) followers(ctx context.Context, c ownTx, heads []candidate) (map[int64][]candidate, error) {
	var ids []int64
	for _, h := range heads {
		if h.key != "" && p.KeyRun > 1 {
			ids = append(ids, h.id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	t := p.f.e.names.failed
	q := "SELECT h.id, x.n, f.id, f.ordering_key, f.size FROM unnest($2::text::bigint[]) u (id) JOIN " + t + " h ON h.id = u.id" +
		" CROSS JOIN LATERAL (SELECT y.id, row_number() OVER () AS n FROM (SELECT o.id FROM " + t + " o WHERE o.consumer = $1 AND o.ordering_key = h.ordering_key AND " +
		isLive + " AND o.id > h.id ORDER BY o.id LIMIT $3) y) x JOIN " + t + " f ON f.id = x.id WHERE f.begun " + unsuspected +
		" AND (f.state = 'behind' OR f.state = 'running' AND (f.due_at <= statement_timestamp() OR f.due_at > statement_timestamp() + make_interval(secs => 2 * $4::float8)))" +
		" FOR UPDATE OF f SKIP LOCKED"
	type follower struct {
		candidate
		n int64 // its place behind the first row
	}
	locked := map[int64][]follower{}
	err := c.all(ctx, statement{query: q, args: []any{p.consumer, idList(ids), p.KeyRun - 1, seconds(p.Lease)}, scan: func(row scanner) error {
		var head int64
		var r follower
		err := row.Scan(&head, &r.n, &r.id, &r.key, &r.size)
		locked[head] = append(locked[head], r)
		return err
	}})
	runs := map[int64][]candidate{}
	for head, rows := range locked {
		slices.SortFunc(rows, func(a, b follower) int { return cmp.Compare(a.n, b.n) })
		for i := 0; i < len(rows) && rows[i].n == int64(i+1); i++ {
			runs[head] = append(runs[head], rows[i].candidate)
		}
	}
	return runs, err
}

// take makes the chosen rows running and commits.
func (p *claimer[Tx]) take(ctx context.Context, c ownTx) error {
	if len(p.chosen) == 0 {
		return c.commit(ctx)
	}
	q := "UPDATE " + p.f.e.names.failed + " f SET state = 'running', claim = f.claim + 1, claimed_by = $2, begun = f.begun + 1, due_at = statement_timestamp() + make_interval(secs => $3)" +
		" WHERE f.id = ANY($1::text::bigint[]) RETURNING f.claim, " + failureColumns + ", f.body"
	found := map[int64]claimedRow{}
	err := c.finish(ctx, statement{query: q, args: []any{idList(p.ids()), parley.CleanText(p.Owner, 64), seconds(p.Lease)}, scan: func(row scanner) error {
		var r claimedRow
		err := r.scan(row)
		found[r.id] = r
		return err
	}})
	if err != nil {
		return err
	}
	for _, r := range p.chosen {
		row, ok := found[r.id]
		if !ok {
			continue // impossible: the row is locked
		}
		p.add(&row)
	}
	return nil
}

// A claimedRow is a row with its claim and body.
type claimedRow struct {
	failureValues
	number int64
	body   []byte
}

func (r *claimedRow) scan(row scanner) error {
	return row.Scan(append(append([]any{&r.number}, r.targets()...), &r.body)...)
}

type damagedFailure struct {
	claim   parley.FailureClaim
	history parley.History
}

func (p *claimer[Tx]) add(r *claimedRow) {
	row, err := r.row()
	claim := parley.FailureClaim{ID: row.ID, Number: r.number, Consumer: p.consumer, Key: row.Key}
	if err != nil {
		row.History.Reason = err.Error()
		p.damaged = append(p.damaged, damagedFailure{claim, row.History})
		return
	}
	row.Message.Body = r.body
	p.taken = append(p.taken, parley.ClaimedFailure{FailureClaim: claim, Message: row.Message, History: row.History, Begun: row.Begun})
}

// parkDamaged parks rows that cannot be read, such as those of a newer version: one such row must not block all others.
func (p *claimer[Tx]) parkDamaged(ctx context.Context) error {
	var errs []error
	for _, d := range p.damaged {
		errs = append(errs, p.f.Settle(ctx, d.claim, parley.FailureOutcome{Action: parley.FailurePark, History: d.history, Holds: d.claim.Key != ""}))
	}
	return errors.Join(errs...)
}
