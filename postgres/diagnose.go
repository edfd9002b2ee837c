package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
)

var (
	_ parley.Diagnoser = (*Store)(nil)
	_ parley.Diagnoser = (*DjangoStore)(nil)
	_ parley.Diagnoser = (*SQLStore)(nil)
	_ parley.Diagnoser = (*DjangoSQLStore)(nil)
)

// Diagnose implements parley.Diagnoser. It checks version, clock and settings of the server, sessions, notifications and their
// trigger, the outbox's sequence, and the privileges of this account.
func (s *Store) Diagnose(ctx context.Context) []parley.Finding {
	d := onPool(s.relay, s.names.outbox)
	if !d.server(ctx) {
		return d.Findings
	}
	if !s.cfg.PollOnly && !d.standby {
		d.listening(ctx, "parley_outbox_notify")
	}
	d.table(ctx)
	return d.Findings
}

// Diagnose implements parley.Diagnoser. In addition to the checks of Store.Diagnose it looks for a relay of the Python library.
func (s *DjangoStore) Diagnose(ctx context.Context) []parley.Finding {
	d := onPool(s.pool, s.cfg.table())
	if !d.server(ctx) {
		return d.Findings
	}
	if !s.cfg.PollOnly && !d.standby {
		d.listening(ctx, "") // Python's table may have no trigger
	}
	d.pythonRelay(ctx)
	d.table(ctx)
	return d.Findings
}

// Diagnose implements parley.Diagnoser. It makes the checks of Store.Diagnose except for notifications, because this store polls.
func (s *SQLStore) Diagnose(ctx context.Context) []parley.Finding {
	d := onDB(cmp.Or(s.cfg.RelayDB, s.db), s.names.outbox)
	if d.server(ctx) {
		d.table(ctx)
	}
	return d.Findings
}

// Diagnose implements parley.Diagnoser. In addition to the checks of SQLStore.Diagnose it looks for a relay of the Python library.
func (s *DjangoSQLStore) Diagnose(ctx context.Context) []parley.Finding {
	d := onDB(s.db, s.cfg.table())
	if d.server(ctx) {
		d.pythonRelay(ctx)
		d.table(ctx)
	}
	return d.Findings
}

// table returns the Django service's table as written in SQL.
func (c *DjangoConfig) table() string {
	if c.Schema == "" {
		return DjangoTable
	}
	return pgx.Identifier{c.Schema, DjangoTable}.Sanitize()
}

// A diagnosis checks the server of one outbox.
type diagnosis struct {
	parley.Findings
	// row runs a query of one row.
	row    func(ctx context.Context, query string) scanner
	pool   *pgxpool.Pool // nil over database/sql
	outbox string        // as written in SQL
	// standby: the server accepts no writes and no LISTEN, so most other checks mean nothing.
	standby bool
}

func onPool(pool *pgxpool.Pool, outbox string) *diagnosis {
	row := func(ctx context.Context, query string) scanner { return pool.QueryRow(ctx, query) }
	return &diagnosis{row: row, pool: pool, outbox: outbox}
}

func onDB(db *sql.DB, outbox string) *diagnosis {
	row := func(ctx context.Context, query string) scanner { return db.QueryRowContext(ctx, query) }
	return &diagnosis{row: row, outbox: outbox}
}

// ask runs a query of one row.
func (d *diagnosis) ask(ctx context.Context, query string, dst ...any) error {
	return d.row(ctx, query).Scan(dst...)
}

// literal returns the outbox's name as an SQL string.
func (d *diagnosis) literal() string { return "'" + strings.ReplaceAll(d.outbox, "'", "''") + "'" }

// server checks the server itself. It reports whether the server answers.
func (d *diagnosis) server(ctx context.Context) bool {
	var version string
	if err := d.ask(ctx, "SELECT current_setting('server_version')", &version); err != nil {
		d.Problem("database", err.Error(), "")
		return false
	}
	d.Fine("database", "version %s", version)
	d.Support("database", "PostgreSQL", version)
	d.Clock(func() (seconds float64, err error) {
		err = d.ask(ctx, "SELECT extract(epoch FROM clock_timestamp())::float8", &seconds)
		return seconds, err
	})
	var syncCommit string
	var readOnly bool
	var oldest sql.NullFloat64
	err := d.ask(ctx, `SELECT current_setting('synchronous_commit'), pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
 (SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend')`,
		&syncCommit, &d.standby, &readOnly, &oldest)
	if err != nil {
		d.Problem("database", err.Error(), "")
		return true
	}
	if syncCommit == "off" {
		d.Warn("database", "synchronous_commit is off: a crash of the server loses transactions that were committed, their events among them", "set it to on")
	}
	switch {
	case d.standby:
		d.Problem("database", "the database is a read-only standby", "connect to the primary: list all hosts in database.url with target_session_attrs=read-write")
	case readOnly:
		d.Problem("database", "the database is read-only: default_transaction_read_only is on", "set it to off for this database or role")
	}
	if oldest.Float64 > 600 {
		d.Warn("database", fmt.Sprintf("a transaction has been open for %v: deleted rows of the outbox cannot be cleaned up meanwhile", (time.Duration(oldest.Float64)*time.Second)), "end it (pg_stat_activity)")
	}
	return true
}

// listening checks whether notifications arrive: a pooler in transaction mode loses them. trigger is the trigger that sends them.
func (d *diagnosis) listening(ctx context.Context, trigger string) {
	conn, err := connectLike(ctx, d.pool)
	if err != nil {
		d.Problem("notifications", err.Error(), "")
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err = conn.Exec(ctx, "LISTEN parley_doctor"); err == nil {
		_, err = conn.Exec(ctx, "NOTIFY parley_doctor")
	}
	if err == nil {
		wait, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = conn.WaitForNotification(wait)
		cancel()
	}
	if err != nil {
		d.Warn("notifications", "do not arrive: the relay finds new records by polling, up to 1 s late", "use a direct connection for LISTEN instead of a pooler in transaction mode, or set database.poll_only")
		return
	}
	if trigger != "" && d.untriggered(ctx, trigger) {
		d.Warn("notifications", "arrive, but the outbox has no trigger that sends them: the relay finds new records by polling, up to 1 s late", "enable trigger "+trigger+", or create it again (run \"parley migrate up\"), or set database.poll_only")
		return
	}
	d.Fine("notifications", "arrive")
}

// untriggered reports whether the outbox exists, but its trigger for notifications is dropped or disabled.
func (d *diagnosis) untriggered(ctx context.Context, trigger string) bool {
	lost := false
	err := d.ask(ctx, `SELECT NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = r.oid AND t.tgname = '`+trigger+`' AND t.tgenabled IN ('O', 'A'))
 FROM pg_class r WHERE r.oid = to_regclass(`+d.literal()+`)`, &lost)
	return err == nil && lost // no row: the check of the migrations reports it
}

// table checks the outbox's sequence and the privileges of this account.
func (d *diagnosis) table(ctx context.Context) {
	table := d.literal()
	var cache int64
	var missing string
	err := d.ask(ctx, `SELECT coalesce((SELECT seqcache FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence(`+table+`, 'id')::regclass), 1),
 (SELECT coalesce(string_agg(p, ', '), '') FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) p WHERE NOT has_table_privilege(current_user, `+table+`, p))
 FROM pg_class WHERE oid = to_regclass(`+table+`)`, &cache, &missing)
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, sql.ErrNoRows) {
		return // the check of the migrations reports it
	}
	if err != nil {
		d.Problem("outbox", err.Error(), "")
		return
	}
	if cache > 1 {
		d.Warn("outbox", fmt.Sprintf("its sequence hands out %d ids at a time to each connection: events of several connections are sent out of order", cache), "ALTER SEQUENCE ... CACHE 1")
	}
	if missing != "" {
		d.Warn("outbox", "this account lacks "+missing+" on the table", "grant INSERT for a service, and SELECT, DELETE and UPDATE of one column for a relay")
		return
	}
	d.Fine("outbox", "this account has the required privileges")
}

// pythonRelay looks for a relay of the Python library on the same table. Such a relay takes no locks, so
// all events would be sent twice.
func (d *diagnosis) pythonRelay(ctx context.Context) {
	var n, hidden int64
	err := d.ask(ctx, `SELECT count(*) FILTER (WHERE query ILIKE 'listen %\_eventqueued%' AND query NOT LIKE '%/* parley */%'
 OR query LIKE '%"services_communication_publishedeventqueue"."id"%'), count(*) FILTER (WHERE query = '<insufficient privilege>')
 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`, &n, &hidden)
	switch {
	case err != nil:
		d.Problem("other relays", err.Error(), "")
	case n > 0:
		d.Problem("other relays", fmt.Sprintf("%d connections look like runpublisher of the Python library on the same table", n), "stop it before a relay of parley runs: it takes no locks, so all events would be sent twice")
	case hidden > 0:
		d.Warn("other relays", fmt.Sprintf("cannot determine whether a runpublisher of the Python library uses the same table: the queries of %d sessions of other roles are hidden", hidden),
			"GRANT pg_read_all_stats to this role, or make sure that none runs")
	default:
		d.Fine("other relays", "no runpublisher of the Python library found")
	}
}
