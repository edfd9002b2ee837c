package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/internal/sqlstore"
)

// engine holds the statements; Tx is the type of the caller's transaction.
type engine[Tx any] struct {
	names names
	pool  any // *pgxpool.Pool or *sql.DB
	use   func(Tx) conn
	own   func(context.Context) (ownTx, error)
	// begin begins a transaction for a handler and runs its first statements.
	begin func(ctx context.Context, first ...statement) (handlerTx[Tx], error)
}

const insertLimit = 5000 // rows in one statement

// Insert implements parley.OutboxStore. It uses one statement for up to 5,000 records.
func (e *engine[Tx]) Insert(ctx context.Context, tx Tx, records []parley.Record) error {
	c := e.use(tx)
	if err := checkLevel(ctx, c, records); err != nil {
		return err
	}
	for start := 0; start < len(records); {
		end := start
		for end < len(records) && end-start < insertLimit && len(records[end].UnlessTags) == 0 {
			end++
		}
		if end > start {
			if err := e.insert(ctx, c, records[start:end]); err != nil {
				return err
			}
		}
		if end < len(records) && len(records[end].UnlessTags) > 0 {
			if err := e.insertUnless(ctx, c, &records[end]); err != nil {
				return err
			}
			end++
		}
		start = end
	}
	return nil
}

func (e *engine[Tx]) insert(ctx context.Context, c conn, records []parley.Record) error {
	into := "INSERT INTO " + e.names.outbox + " (exchange, routing_key, kind, body, due_at, tags, properties) "
	i := 0
	scan := func(row scanner) error {
		i++
		return row.Scan(&records[i-1].ID)
	}
	if len(records) == 1 {
		args, err := rowArgs(&records[0])
		if err != nil {
			return err
		}
		return c.query(ctx, into+"VALUES ($1,$2,$3,$4,$5::timestamptz,$6::jsonb,$7::jsonb) RETURNING id", scan, args...)
	}
	if over, ok := c.(pgxConn); ok && len(records) >= copyRows {
		if ok, err := e.copyIn(ctx, over.tx, records); ok || err != nil {
			return err
		}
	}
	// With arrays the statement is the same for any number of records, so that it stays prepared.
	rows := make([]rowTexts, len(records))
	pointers := make([]*string, rowColumns*len(records))
	args := make([]any, rowColumns)
	for r := range records {
		if err := rows[r].fill(&records[r]); err != nil {
			return err
		}
		for n, text := range rows[r].columns() {
			pointers[n*len(records)+r] = text
		}
	}
	for n := range args {
		args[n] = c.array(pointers[n*len(records) : (n+1)*len(records)])
	}
	return c.query(ctx, into+`SELECT e, k, kind, b, d::timestamptz, t::jsonb, p::jsonb FROM unnest($1::text[], $2::text[],
 $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS x (e, k, kind, b, d, t, p, n)
 ORDER BY n RETURNING id`, scan, args...)
}

// rowColumns is the number of columns of a record.
const rowColumns = 7

// rowTexts holds the columns of one record as texts; an empty due or tags is NULL.
type rowTexts struct{ exchange, routingKey, kind, body, due, tags, properties string }

func (t *rowTexts) fill(r *parley.Record) (err error) {
	t.exchange, t.routingKey, t.kind, t.body = r.Exchange, r.RoutingKey, string(r.Kind), string(r.Body)
	if err := checkDue(r.DueAt); err != nil {
		return err
	}
	if !r.DueAt.IsZero() {
		t.due = r.DueAt.UTC().Format(time.RFC3339Nano)
	}
	if t.properties, err = sqlstore.EncodeProperties(&r.Message); err != nil {
		return err
	}
	tags, err := sqlstore.EncodeTags(r.Tags)
	t.tags, _ = tags.(string) // nil without tags
	return err
}

// columns returns pointers to the texts, which saves an allocation for each of them.
func (t *rowTexts) columns() [rowColumns]*string {
	return [...]*string{&t.exchange, &t.routingKey, &t.kind, &t.body, unlessEmpty(&t.due), unlessEmpty(&t.tags), &t.properties}
}

func unlessEmpty(text *string) *string {
	if *text == "" {
		return nil
	}
	return text
}

func rowArgs(r *parley.Record) ([]any, error) {
	var t rowTexts
	if err := t.fill(r); err != nil {
		return nil, err
	}
	args := make([]any, rowColumns, rowColumns+1)
	for n, text := range t.columns() {
		if text != nil {
			args[n] = *text
		}
	}
	return args, nil
}

// insertUnless inserts r unless a matching record is pending.
func (e *engine[Tx]) insertUnless(ctx context.Context, c conn, r *parley.Record) error {
	unless, err := sqlstore.EncodeTags(r.UnlessTags)
	if err != nil {
		return err
	}
	args, err := rowArgs(r)
	if err != nil {
		return err
	}
	if err := lockUnless(ctx, c, r, unless); err != nil {
		return err
	}
	q := "INSERT INTO " + e.names.outbox + ` (exchange, routing_key, kind, body, due_at, tags, properties)
SELECT $1::text, $2::text, $3::text, $4::text, $5::timestamptz, $6::jsonb, $7::jsonb WHERE NOT EXISTS (SELECT 1 FROM ` + e.names.outbox + `
 WHERE exchange = $1::text AND routing_key = $2::text AND due_at IS NOT NULL AND tags @> $8::jsonb) RETURNING id`
	return c.query(ctx, q, func(row scanner) error { return row.Scan(&r.ID) }, append(args, unless)...)
}

// where returns the condition for the scheduled records of a selection; its parameters start at $1. If anyKey is true, an
// empty routing key matches all.
func where(s parley.Selection, anyKey bool) (string, []any, error) {
	var args []any
	cond := "due_at IS NOT NULL"
	add := func(format string, value any) {
		args = append(args, value)
		cond += fmt.Sprintf(format, len(args))
	}
	if s.ID > 0 {
		add(" AND id = $%d", s.ID)
		return cond, args, nil
	}
	if s.Exchange != "" || !anyKey {
		add(" AND exchange = $%d", s.Exchange)
	}
	if s.RoutingKey != "" || !anyKey {
		add(" AND routing_key = $%d", s.RoutingKey)
	}
	if len(s.Tags) > 0 {
		tags, err := sqlstore.EncodeTags(s.Tags)
		if err != nil {
			return "", nil, err
		}
		add(" AND tags @> $%d::jsonb", tags)
	}
	return cond, args, nil
}

// Cancel implements parley.OutboxStore.
func (e *engine[Tx]) Cancel(ctx context.Context, tx Tx, s parley.Selection) (int, error) {
	cond, args, err := where(s, false)
	if err != nil {
		return 0, err
	}
	c := e.use(tx)
	n, err := c.exec(ctx, "DELETE FROM "+e.names.outbox+" WHERE "+cond, args...)
	if err == nil {
		err = e.logIn(ctx, c, parley.ActionCancelScheduled, s.String(), n)
	}
	return n, err
}

// Reschedule implements parley.OutboxStore.
func (e *engine[Tx]) Reschedule(ctx context.Context, tx Tx, s parley.Selection, due time.Time) (int, error) {
	cond, args, err := where(s, false)
	if err = errors.Join(err, checkDue(due)); err != nil {
		return 0, err
	}
	args = append(args, due.UTC().Format(time.RFC3339Nano))
	q := fmt.Sprintf("UPDATE %s SET due_at = $%d::timestamptz WHERE %s", e.names.outbox, len(args), cond)
	c := e.use(tx)
	n, err := c.exec(ctx, q, args...)
	if err == nil {
		err = e.logIn(ctx, c, parley.ActionMoveScheduled, parley.MoveText(s, due), n)
	}
	return n, err
}

// Scheduled implements parley.OutboxStore.
func (e *engine[Tx]) Scheduled(ctx context.Context, tx Tx, s parley.Selection, limit int) ([]parley.Record, error) {
	cond, args, err := where(s, true)
	if err != nil {
		return nil, err
	}
	const order = " ORDER BY due_at, id LIMIT "
	c := e.use(tx)
	if len(s.Tags) == 0 {
		return e.records(ctx, c, fmt.Sprintf("SELECT %s FROM %s WHERE %s%s%d", columns, e.names.outbox, cond, order, limit), args...)
	}
	// Tags are rare or common, which the planner of a prepared statement does not know. If they are common, the soonest records have them.
	if limit <= tagScan {
		soonest := fmt.Sprintf("(SELECT * FROM %s WHERE due_at IS NOT NULL%s%d) x", e.names.outbox, order, tagScan)
		found, err := e.records(ctx, c, fmt.Sprintf("SELECT %s FROM %s WHERE %s%s%d", columns, soonest, cond, order, limit), args...)
		if err != nil || len(found) == limit {
			return found, err
		}
	}
	tagged := fmt.Sprintf("(SELECT * FROM %s WHERE %s OFFSET 0) x", e.names.outbox, cond) // OFFSET 0 keeps the planner from walking through all records by their time
	return e.records(ctx, c, fmt.Sprintf("SELECT %s FROM %s%s%d", columns, tagged, order, limit), args...)
}

// tagScan is how many of the soonest records are compared with tags. It is twenty times the 500 records of a page: a tag that too few of
// them have is on less than a twentieth of all records, which are read then.
const tagScan = 10_000

func (e *engine[Tx]) records(ctx context.Context, c conn, q string, args ...any) ([]parley.Record, error) {
	var out []parley.Record
	st := readStatement(&out, func(int) bool { return true }, q, args...)
	err := c.query(ctx, st.query, st.scan, st.args...)
	return out, err
}

// Once implements parley.InboxStore.
func (e *engine[Tx]) Once(ctx context.Context, consumer, identity string, fn func(ctx context.Context, tx Tx) error) error {
	recorded := 1
	var first []statement
	if identity != "" {
		q := "INSERT INTO " + e.names.inbox + " (consumer, identity) VALUES ($1, $2) ON CONFLICT DO NOTHING"
		first = []statement{{query: q, args: []any{consumer, identity}, count: &recorded}}
	}
	return e.handle(ctx, first, func(ctx context.Context, tx Tx) error {
		if recorded == 0 {
			return parley.ErrDuplicate
		}
		if err := failpoint.Hit("inbox.recorded"); err != nil {
			return err
		}
		if err := fn(ctx, tx); err != nil {
			return err
		}
		return failpoint.Hit("inbox.committing")
	})
}

var errNoRow = errors.New("no such row")
