package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// DjangoTable is the outbox table of the Python library.
const DjangoTable = "services_communication_publishedeventqueue"

// DjangoConfig configures a store on the table of a Django service.
type DjangoConfig struct {
	// Schema is the schema of the table. Default: found in the search path.
	Schema string
	// AppID is the app_id of messages that the relay publishes: APP_ID in Django's settings.
	AppID string
	// PollOnly disables LISTEN.
	PollOnly bool
	// RelayPool gives the relay connections of its own; see [Config]. For NewDjango. Default: the pool.
	RelayPool *pgxpool.Pool
	// RelayDB is RelayPool for NewDjangoSQL. Default: the db.
	RelayDB *sql.DB
	// Logger receives log records. Default: slog.Default().
	Logger *slog.Logger
}

// A DjangoStore works on the unmodified table of django-microservices-communication, as its
// migrations 0001 to 0006 create it, together with Django code. A relay drains the table instead of
// manage.py runpublisher, and Go code publishes, schedules and cancels in it. The store adds
// no column; the relay needs SELECT, DELETE and UPDATE of any one column.
//
// A row that the broker can never accept stays in the table, because parley has no table to park it in.
// This process ignores the row from then on.
type DjangoStore struct {
	django[pgx.Tx]
	pool *pgxpool.Pool // the relay's
}

// NewDjango returns a store on a Django service's table, for pgx.
func NewDjango(pool *pgxpool.Pool, cfg *DjangoConfig) (*DjangoStore, error) {
	if pool == nil {
		return nil, errors.New("postgres: pool must not be nil")
	}
	s := &DjangoStore{pool: pool}
	if cfg != nil {
		s.pool = cmp.Or(cfg.RelayPool, pool)
	}
	err := s.init(cfg, engine[pgx.Tx]{
		pool:  pool,
		use:   func(tx pgx.Tx) conn { return pgxConn{tx} },
		begin: beginPooled(pool),
		own:   ownPooled(s.pool, "BEGIN"),
	})
	return s, err
}

// A DjangoSQLStore is a DjangoStore for database/sql. It polls.
type DjangoSQLStore struct {
	django[Tx]
	db *sql.DB // of the relay
}

// NewDjangoSQL returns a store on a Django service's table, for database/sql.
func NewDjangoSQL(db *sql.DB, cfg *DjangoConfig) (*DjangoSQLStore, error) {
	if db == nil {
		return nil, errors.New("postgres: db must not be nil")
	}
	s, relay := &DjangoSQLStore{}, db
	if cfg != nil {
		relay = cmp.Or(cfg.RelayDB, db)
	}
	s.db = relay
	err := s.init(cfg, engine[Tx]{
		pool:  db,
		use:   func(tx Tx) conn { return sqlConn{tx} },
		begin: beginSQL(db),
		own:   ownSQL(relay, nil),
	})
	return s, err
}

// django holds the common code of both kinds of store.
type django[Tx any] struct {
	e   engine[Tx]
	cfg DjangoConfig

	python pythonWatch

	mu   sync.Mutex // guards the fields below
	has  map[string]bool
	skip []int64 // rows that can never be published
}

func (s *django[Tx]) init(cfg *DjangoConfig, e engine[Tx]) error {
	if cfg != nil {
		s.cfg = *cfg
	}
	if s.cfg.Logger == nil {
		s.cfg.Logger = slog.Default()
	}
	names, err := newNames(s.cfg.Schema, "")
	if err != nil {
		return err
	}
	names.outbox = DjangoTable
	if s.cfg.Schema != "" {
		names.outbox = pgx.Identifier{s.cfg.Schema, DjangoTable}.Sanitize()
	}
	e.names = names
	s.e = e
	return nil
}

// columns returns the columns of the table, which differ by version. It reads them once.
func (s *django[Tx]) columns(ctx context.Context, c conn) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has != nil {
		return s.has, nil
	}
	has := map[string]bool{}
	err := c.query(ctx, "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
		func(row scanner) error {
			var name string
			err := row.Scan(&name)
			has[name] = true
			return err
		}, s.e.names.outbox)
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", s.e.names.outbox, err)
	}
	if !has["exchange"] {
		return nil, fmt.Errorf("table %s is not in the search path (set DjangoConfig.Schema, or run Django's migrations)", s.e.names.outbox)
	}
	s.has = has
	return has, nil
}

// optional returns a column, or NULL where this version has none.
func optional(has map[string]bool, name, kind string) string {
	if !has[name] {
		return "NULL::" + kind
	}
	if kind == "text" {
		return name + "::text"
	}
	return name
}

// dueTime returns the expression for the time at which the Python relay considers a row due.
func dueTime(has map[string]bool) string { return djangoDue(has, "") }

// djangoDue is dueTime with a prefix for the columns.
func djangoDue(has map[string]bool, alias string) string {
	column := func(name string) string {
		if !has[name] {
			return "NULL::timestamptz"
		}
		return alias + name
	}
	return "least(" + column("send_after_time") + ", " + column("event_time") + ")"
}

// errOldTable is the error of what needs the columns of version 2.5. A relay of parley works on the table of 2.4.
var errOldTable = errors.New("the table is older than version 2.5 of the Python library, and only a relay can use it: run Django's migrations of version 2.5 or later to publish or reschedule from Go")

// Insert implements parley.OutboxStore. A relay of the Python library publishes such rows too. Headers of the caller are
// ErrInvalid on a table before version 2.6.7, which cannot hold them.
func (s *django[Tx]) Insert(ctx context.Context, tx Tx, records []parley.Record) error {
	c := s.e.use(tx)
	has, err := s.columns(ctx, c)
	if err != nil {
		return err
	}
	if !has["is_new_style"] {
		return errOldTable
	}
	if err := sqlstore.CheckDjango(has, records); err != nil {
		return err
	}
	if err := checkLevel(ctx, c, records); err != nil {
		return err
	}
	for i := range records {
		if err := s.insert(ctx, c, has, &records[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *django[Tx]) insert(ctx context.Context, c conn, has map[string]bool, r *parley.Record) error {
	args, err := s.rowArgs(r)
	if err != nil {
		return err
	}
	column, value := "", ""
	if has["properties"] {
		props, err := djangoProperties(r)
		if err != nil {
			return err
		}
		args = append(args, props)
		column, value = ", properties", ", $8::jsonb"
	}
	q := "INSERT INTO " + s.e.names.outbox + " (id, exchange, routing_key, create_time, is_new_style, body, send_after_time, tags" + column + `)
SELECT n.id, $1::text, $2::text, clock_timestamp(), true,
 CASE WHEN $3::text = '' THEN $4::jsonb ELSE jsonb_build_object($3::text, n.id) || $4::jsonb END,
 coalesce($5::timestamptz, clock_timestamp()), $6::jsonb` + value + `
FROM (SELECT nextval(pg_get_serial_sequence($7::text, 'id')) AS id) n`
	if len(r.UnlessTags) > 0 {
		unless, err := sqlstore.EncodeTags(r.UnlessTags)
		if err != nil {
			return err
		}
		if err := lockUnless(ctx, c, r, unless); err != nil {
			return err
		}
		args = append(args, unless)
		q += fmt.Sprintf(" WHERE NOT EXISTS (SELECT 1 FROM %s WHERE exchange = $1::text AND routing_key = $2::text AND tags @> $%d::jsonb)",
			s.e.names.outbox, len(args))
	}
	return c.query(ctx, q+" RETURNING id", func(row scanner) error { return row.Scan(&r.ID) }, args...)
}

// rowArgs returns exchange, routing key, the body's member for the id, body, due time, tags and table.
func (s *django[Tx]) rowArgs(r *parley.Record) ([]any, error) {
	member := map[parley.Kind]string{parley.KindEvent: "eventId", parley.KindCall: "id"}[r.Kind]
	tags, err := sqlstore.EncodeTags(r.Tags)
	var due any
	if !r.DueAt.IsZero() {
		due = r.DueAt.UTC().Format(time.RFC3339Nano)
	}
	return []any{r.Exchange, r.RoutingKey, member, string(r.Body), due, tags, s.e.names.outbox}, err
}

// djangoProperties stores the correlation id where the Python relay reads it, and all other
// properties where only parley reads them.
func djangoProperties(r *parley.Record) (string, error) {
	props, err := sqlstore.EncodeProperties(&r.Message)
	if err != nil {
		return "", err
	}
	var correlation *string
	if r.CorrelationID != "" {
		correlation = &r.CorrelationID
	}
	text, err := json.Marshal(map[string]any{"correlation_id": correlation, "parley": json.RawMessage(props), "kind": r.Kind})
	return string(text), err
}

// changeable returns the condition for a selection among the rows with tags. A row that is selected by its id may have none, but it
// must be due later.
func (s *django[Tx]) changeable(ctx context.Context, c conn, sel parley.Selection) (string, []any, error) {
	cond, args, err := where(sel, false)
	scheduled := "tags IS NOT NULL"
	if err == nil && sel.ID > 0 {
		var has map[string]bool
		has, err = s.columns(ctx, c)
		scheduled = dueTime(has) + " > clock_timestamp()"
	}
	return strings.Replace(cond, "due_at IS NOT NULL", scheduled, 1), args, err
}

// Cancel implements parley.OutboxStore. It matches like version 2.6 of the Python library: the same exchange and routing
// key, and at least the given tags.
func (s *django[Tx]) Cancel(ctx context.Context, tx Tx, sel parley.Selection) (int, error) {
	cond, args, err := s.changeable(ctx, s.e.use(tx), sel)
	if err != nil {
		return 0, err
	}
	return s.e.use(tx).exec(ctx, "DELETE FROM "+s.e.names.outbox+" WHERE "+cond, args...)
}

// Reschedule implements parley.OutboxStore.
func (s *django[Tx]) Reschedule(ctx context.Context, tx Tx, sel parley.Selection, due time.Time) (int, error) {
	has, err := s.columns(ctx, s.e.use(tx))
	if err != nil {
		return 0, err
	}
	if !has["send_after_time"] {
		return 0, errOldTable
	}
	cond, args, err := s.changeable(ctx, s.e.use(tx), sel)
	if err != nil {
		return 0, err
	}
	args = append(args, due.UTC().Format(time.RFC3339Nano))
	q := fmt.Sprintf("UPDATE %s SET send_after_time = $%d::timestamptz WHERE %s", s.e.names.outbox, len(args), cond)
	return s.e.use(tx).exec(ctx, q, args...)
}

// Scheduled implements parley.OutboxStore. It returns rows that are due later.
func (s *django[Tx]) Scheduled(ctx context.Context, tx Tx, sel parley.Selection, limit int) ([]parley.Record, error) {
	c := s.e.use(tx)
	has, err := s.columns(ctx, c)
	if err != nil {
		return nil, err
	}
	cond, args, err := where(sel, true)
	if err != nil {
		return nil, err
	}
	due := dueTime(has)
	cond = strings.Replace(cond, "due_at IS NOT NULL", due+" > clock_timestamp()", 1)
	q := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s, id LIMIT %d", s.selected(has), s.e.names.outbox, cond, due, limit)
	return s.records(ctx, c, func(int) bool { return true }, q, args...)
}
