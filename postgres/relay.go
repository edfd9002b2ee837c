package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/internal/sqlstore"
)

// Claim implements parley.RelaySource. The relay lock, the row locks and the fencing are one
// transaction. If a relay freezes in it, the server ends the idle transaction after 15 seconds. The relay
// then loses all three together, so no successor can overtake its rows.
func (e *engine[Tx]) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	b, err := e.claim(ctx, o, nil)
	if err != nil {
		return nil, explainLock(ctx, err, e.Blockers)
	}
	return b, nil
}

func (e *engine[Tx]) claim(ctx context.Context, o parley.ClaimOptions, behind []parley.Record) (*batch[Tx], error) {
	c, err := e.own(ctx)
	if err != nil {
		return nil, err
	}
	b := &batch[Tx]{e: e, c: c, mode: o.Mode}
	if err := b.claim(ctx, o, behind); err != nil {
		return nil, errors.Join(err, b.Release(context.WithoutCancel(ctx)))
	}
	return b, nil
}

var (
	_ parley.AheadBatch = (*batch[Tx])(nil)
	_ parley.DueBatch   = (*batch[Tx])(nil)
)

type batch[Tx any] struct {
	e       *engine[Tx]
	c       ownTx
	mode    parley.RelayMode
	records []parley.Record
	part    bool // no other record was due
	done    bool

	asked   time.Time // when the next due time was read, or zero
	wait    time.Duration
	waiting bool
}

// claim locks and reads in one round trip. Its first statement takes the relay lock. Each later statement, which could
// wait for rows of the active relay, checks whether it did. A claim ahead of this relay, which has the lock,
// excludes the rows of its current batch instead.
func (b *batch[Tx]) claim(ctx context.Context, o parley.ClaimOptions, behind []parley.Record) error {
	q, err := newClaimQuery(b.e, o, behind)
	if err != nil {
		return err
	}
	var records, due []parley.Record
	active, mayDelete := false, false
	first := b.e.lockStatement(q.lead, &active, &mayDelete)
	scheduled := func(limit int) statement {
		return readStatement(&due, o.Room(10), q.scheduled(limit), q.args...)
	}
	reserved, small := o.Reserved(), o.Limit < smallBatch
	statements := []statement{first, readStatement(&records, o.Room(1), q.atOnce(o.Limit), q.args...), scheduled(reserved)}
	if small {
		statements = []statement{first, scheduled(reserved)}
	}
	if err = b.c.all(ctx, statements...); err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	if err := b.e.mayWork(active, mayDelete); err != nil {
		return err
	}
	if small && o.Limit > len(due) {
		if err := b.c.all(ctx, readStatement(&records, o.Room(1), q.atOnce(o.Limit-len(due)), q.args...)); err != nil {
			return fmt.Errorf("read outbox: %w", err)
		}
	}
	if room := o.Limit - len(records); len(due) == reserved && room > reserved {
		due = nil
		if err := b.c.all(ctx, scheduled(room)); err != nil {
			return fmt.Errorf("read scheduled records: %w", err)
		}
	}
	b.records = append(records[:min(len(records), o.Limit-len(due))], due...)
	b.part = len(b.records) < o.Limit
	return nil
}

// smallBatch is the limit below which the reserved records are read first, with one more round trip. In a larger batch all are read at
// once: a few records are then locked without being in the batch, and parallel relays skip them until the batch has ended. In a small batch that
// would be a large part.
const smallBatch = 10

// A claimQuery selects and locks due rows. It uses the time of the statement: clock_timestamp() may
// change between rows, so PostgreSQL could use no index for it.
type claimQuery struct {
	table string
	lead  string // takes the relay lock
	skip  bool   // skip locked rows also among those without a due time
	where string
	args  []any
}

func newClaimQuery[Tx any](e *engine[Tx], o parley.ClaimOptions, behind []parley.Record) (*claimQuery, error) {
	q := &claimQuery{table: e.names.outbox, lead: e.tryLock(o.Mode), skip: o.Mode == parley.RelayModeParallel}
	if len(behind) > 0 {
		q.lead = "true"
		ids := make([]int64, len(behind))
		for i := range behind {
			ids[i] = behind[i].ID
		}
		q.add(" AND id NOT IN (SELECT unnest($%d::text::bigint[]))", idList(ids))
	}
	if len(o.Except) > 0 {
		except, err := json.Marshal(o.Except)
		if err != nil {
			return nil, err
		}
		q.add(" AND exchange NOT IN (SELECT jsonb_array_elements_text($%d::jsonb))", string(except))
	}
	return q, nil
}

func (q *claimQuery) add(condition string, arg any) {
	q.args = append(q.args, arg)
	q.where += fmt.Sprintf(condition, len(q.args))
}

func (q *claimQuery) atOnce(limit int) string {
	return q.text("due_at IS NULL", "id", limit, q.skip)
}

// scheduled skips rows that open transactions have cancelled or moved. Its order is by time, so one such transaction
// must not block all others. It never waits, so that no transaction becomes the victim of a deadlock.
func (q *claimQuery) scheduled(limit int) string {
	return q.text("due_at <= statement_timestamp()", "due_at, id", limit, true)
}

func (q *claimQuery) text(due, order string, limit int, skip bool) string {
	tail := ""
	if skip {
		tail = " SKIP LOCKED"
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s AND (SELECT %s)%s ORDER BY %s LIMIT %d FOR UPDATE%s",
		columns, q.table, due, leads, q.where, order, limit, tail)
}

// lock makes this transaction the only relay in ordered mode.
func (e *engine[Tx]) lock(ctx context.Context, c ownTx, mode parley.RelayMode) error {
	active, mayDelete := false, false
	if err := c.all(ctx, e.lockStatement(e.tryLock(mode), &active, &mayDelete)); err != nil {
		return fmt.Errorf("lock outbox: %w", err)
	}
	return e.mayWork(active, mayDelete)
}

// lockStatement takes the lock, checks the DELETE privilege, and makes the server end the transaction if this
// process freezes.
func (e *engine[Tx]) lockStatement(lock string, active, mayDelete *bool) statement {
	q := "SELECT set_config('" + leadSetting + "', (" + lock + ")::text, true)::boolean, coalesce(has_table_privilege(" + e.outboxID() + ", 'DELETE'), true)" +
		", set_config('idle_in_transaction_session_timeout', '15000', true), " + byIndex + ", " + lockPatience
	return statement{query: q, scan: func(row scanner) error {
		var timeout, scans, patience string
		return row.Scan(active, mayDelete, &timeout, &scans, &patience)
	}}
}

// leadSetting is a setting of the transaction that says whether it has the relay lock: to read it is cheaper than to take the lock again.
const leadSetting = "parley.leads"

// leads is an expression that is true in a transaction whose lockStatement has taken the lock.
const leads = "current_setting('" + leadSetting + "')::boolean"

// lockPatience limits how long a claim waits for a row or a table that another transaction has locked; it waits to keep the order
// of records without a due time. It ends before deadlock detection starts: the relay gives up, not the other transaction.
const lockPatience = "set_config('lock_timeout', least(500, greatest(10," +
	" floor(500 * extract(epoch FROM current_setting('deadlock_timeout')::interval))))::int::text, true)"

// byIndex prevents this transaction from scanning whole tables. A plan that was made while the outbox was empty is kept for as
// long as the session: it would read every row of a backlog for each batch.
const byIndex = "set_config('enable_seqscan', 'off', true)"

// useIndexes is the statement for byIndex.
var useIndexes = statement{query: "SELECT " + byIndex, scan: func(row scanner) error { return row.Scan(new(string)) }}

// mayWork returns nil if this transaction may publish. Records that it cannot delete afterwards must not be published: each
// restart would publish them again.
func (e *engine[Tx]) mayWork(active, mayDelete bool) error {
	if !mayDelete {
		return fmt.Errorf("this role may not delete from %s, so the relay does not publish (GRANT DELETE to it)", e.names.outbox)
	}
	if !active {
		return parley.ErrStandby
	}
	return nil
}

// outboxID returns an expression for the table's oid; it is NULL if there is no such table.
func (e *engine[Tx]) outboxID() string {
	return "to_regclass('" + strings.ReplaceAll(e.names.outbox, "'", "''") + "')"
}

// tryLock returns an expression that is true while this transaction may work as a relay.
func (e *engine[Tx]) tryLock(mode parley.RelayMode) string {
	if mode != parley.RelayModeOrdered {
		return "true"
	}
	return fmt.Sprintf("pg_try_advisory_xact_lock(hashtextextended(current_database() || %d::text || coalesce(%s::oid, 0)::text, 0))",
		lockSpace(), e.outboxID())
}

// lockSpace keeps parley's advisory locks apart from those of other programs.
func lockSpace() uint32 {
	h := fnv.New32a()
	h.Write([]byte("parley relay"))
	return h.Sum32()
}

// Records implements parley.Batch.
func (b *batch[Tx]) Records() []parley.Record { return b.records }

// ClaimAhead implements parley.AheadBatch, in a transaction of its own. Like Claim it locks rows in their
// order, so a relay that takes the lead meanwhile waits for them and overtakes no record.
func (b *batch[Tx]) ClaimAhead(ctx context.Context, o parley.ClaimOptions) (parley.Batch, func(context.Context) error, error) {
	next, err := b.e.claim(ctx, o, b.records)
	if err != nil {
		return nil, nil, err
	}
	return next, func(ctx context.Context) error { return b.e.lock(ctx, next.c, o.Mode) }, nil
}

// Settle implements parley.Batch.
func (b *batch[Tx]) Settle(ctx context.Context, sent []int64, parked []parley.Parked) (elsewhere int, err error) {
	if b.done {
		return 0, errors.New("batch has ended")
	}
	deleted := 0
	statements := make([]statement, 0, len(parked)+2)
	if len(sent) > 0 {
		statements = append(statements, b.e.remove(sent, &deleted))
	}
	kept := make([]int, len(parked))
	for i := range parked {
		park, err := b.park(&parked[i], &kept[i])
		if err != nil {
			return 0, fmt.Errorf("park record %d: %w", parked[i].Record.ID, err)
		}
		statements = append(statements, park)
	}
	if b.part {
		statements = append(statements, b.e.nextDue(&b.wait, &b.waiting))
	}
	if err := failpoint.Hit("store.committing"); err != nil {
		return 0, err
	}
	if err := b.c.finish(ctx, statements...); err != nil {
		return 0, fmt.Errorf("delete sent and park refused records: %w", err)
	}
	b.done = true
	if b.part {
		b.asked = time.Now()
	}
	elsewhere = len(sent) - deleted + len(parked)
	for _, n := range kept {
		elsewhere -= n
	}
	return elsewhere, failpoint.Hit("store.committed")
}

// park moves a record to the parked table, unless it was deleted meanwhile; moved gets the number of moved records.
func (b *batch[Tx]) park(p *parley.Parked, moved *int) (statement, error) {
	props, err := sqlstore.EncodeProperties(&p.Record.Message)
	q := "WITH gone AS (DELETE FROM " + b.e.names.outbox + " WHERE id = $1 RETURNING id) INSERT INTO " + b.e.names.parked +
		" (record_id, reason, exchange, routing_key, kind, body, properties) SELECT id, $2, $3, $4, $5, $6, $7::jsonb FROM gone"
	args := []any{p.Record.ID, p.Reason, p.Record.Exchange, p.Record.RoutingKey, string(p.Record.Kind), string(p.Record.Body), props}
	return statement{query: q, args: args, count: moved}, err
}

// NextDue implements parley.DueBatch.
func (b *batch[Tx]) NextDue() (wait time.Duration, ok, known bool) {
	return b.wait - time.Since(b.asked), b.waiting, !b.asked.IsZero()
}

// Release implements parley.Batch.
func (b *batch[Tx]) Release(ctx context.Context) error {
	if b.done {
		return nil
	}
	b.done = true
	return b.c.rollback(ctx)
}

func (e *engine[Tx]) remove(ids []int64, removed *int) statement {
	return statement{query: "DELETE FROM " + e.names.outbox + " WHERE id = ANY($1::text::bigint[])", args: []any{idList(ids)}, count: removed}
}

// NextDue implements parley.RelaySource.
func (e *engine[Tx]) NextDue(ctx context.Context) (wait time.Duration, ok bool, err error) {
	err = e.run(ctx, e.nextDue(&wait, &ok))
	return wait, ok, err
}

func (e *engine[Tx]) nextDue(wait *time.Duration, ok *bool) statement {
	q := "SELECT extract(epoch FROM due_at - clock_timestamp())::float8 FROM " + e.names.outbox + " WHERE due_at IS NOT NULL ORDER BY due_at, id LIMIT 1"
	return statement{query: q, scan: func(row scanner) error {
		var seconds float64
		*ok = true
		err := row.Scan(&seconds)
		*wait = toDuration(seconds)
		return err
	}}
}

// toDuration limits the result to 31 years. A time.Duration overflows for larger values, and an event
// scheduled for the year 9999 would be due.
func toDuration(seconds float64) time.Duration {
	return time.Duration(max(-1e9, min(seconds, 1e9)) * float64(time.Second))
}
