package service

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
)

// skewLimit is how far the clocks of database and service may differ before it is told.
const skewLimit = time.Second

// ask runs a query of one row, in whatever transaction the database has.
func (d *doctor) ask(ctx context.Context, query string, dst ...any) error {
	return d.s.InTx(ctx, func(tx *Tx) error {
		if tx.Pgx != nil {
			return tx.Pgx.QueryRow(ctx, query).Scan(dst...)
		}
		return tx.SQL.QueryRowContext(ctx, query).Scan(dst...)
	})
}

// serverChecks looks at the database server itself.
func (d *doctor) serverChecks(ctx context.Context, scheme string) {
	clock := map[string]string{
		"postgres": "SELECT extract(epoch FROM clock_timestamp())::float8",
		"mysql":    "SELECT UNIX_TIMESTAMP(NOW(6)) + 0.0",
		"sqlite":   "SELECT (julianday('now') - 2440587.5) * 86400.0",
	}[scheme]
	version := map[string]string{
		"postgres": "SELECT current_setting('server_version')", "mysql": "SELECT version()", "sqlite": "SELECT sqlite_version()",
	}[scheme]
	var text string
	if err := d.ask(ctx, version, &text); err != nil {
		d.failed("database", err, "")
		return
	}
	d.fine("database", "version %s", text)
	d.clock(ctx, clock)
	if scheme == "postgres" {
		d.postgres(ctx)
		d.listening(ctx)
		d.pythonRelay(ctx)
	}
}

// clock compares the clocks. Scheduled events go by the database's, expiry by the service's.
func (d *doctor) clock(ctx context.Context, query string) {
	var theirs float64
	before := time.Now()
	if err := d.ask(ctx, query, &theirs); err != nil {
		d.failed("clock", err, "")
		return
	}
	middle := before.Add(time.Since(before) / 2)
	skew := time.Duration((theirs - float64(middle.UnixNano())/1e9) * float64(time.Second)).Round(time.Millisecond)
	if skew.Abs() > skewLimit {
		d.warn("clock", fmt.Sprintf("the database's clock is off by %v", skew), "run NTP on both machines: scheduled events go by the database's clock")
		return
	}
	d.fine("clock", "the database's differs by less than %v", skewLimit)
}

// postgres looks for what is peculiar to PostgreSQL.
func (d *doctor) postgres(ctx context.Context) {
	var syncCommit string
	var replica bool
	var oldest sql.NullFloat64
	err := d.ask(ctx, `SELECT current_setting('synchronous_commit'), pg_is_in_recovery(),
 (SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend')`,
		&syncCommit, &replica, &oldest)
	if err != nil {
		d.failed("database", err, "")
		return
	}
	if syncCommit == "off" {
		d.warn("database", "synchronous_commit is off: a crash of the server loses transactions that were committed, their events among them", "set it to on")
	}
	if replica {
		d.problem("database", "this is a replica that cannot be written to", "connect to the primary")
	}
	if oldest.Float64 > 600 {
		d.warn("database", fmt.Sprintf("a transaction has been open for %v: deleted rows of the outbox cannot be cleaned up meanwhile", (time.Duration(oldest.Float64)*time.Second)), "end it (pg_stat_activity)")
	}
}

// outboxPostgres looks at the outbox's sequence, and at the rights of this account.
func (d *doctor) outboxPostgres(ctx context.Context) {
	table := d.outboxLiteral()
	var cache int64
	var missing string
	err := d.ask(ctx, `SELECT coalesce((SELECT seqcache FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence(`+table+`, 'id')::regclass), 1),
 (SELECT coalesce(string_agg(p, ', '), '') FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) p WHERE NOT has_table_privilege(current_user, `+table+`, p))`,
		&cache, &missing)
	if err != nil {
		d.failed("outbox", err, "")
		return
	}
	if cache > 1 {
		d.warn("outbox", fmt.Sprintf("its sequence hands out %d ids at a time to each connection: events of several connections lose their order", cache), "ALTER SEQUENCE ... CACHE 1")
	}
	if missing != "" {
		d.warn("outbox", "this account lacks "+missing+" on the table", "a service needs INSERT, a relay SELECT, DELETE and UPDATE of one column")
		return
	}
	d.fine("outbox", "this account has the rights it needs")
}

// outboxLiteral is the outbox's name as a string of SQL.
func (d *doctor) outboxLiteral() string {
	table := or(d.s.Settings.Database.Table, ownTable)
	if schema := d.s.Settings.Database.Schema; schema != "" {
		table = pgx.Identifier{schema, table}.Sanitize()
	}
	return "'" + strings.ReplaceAll(table, "'", "''") + "'"
}

// brokerServer logs in once by itself: unlike the driver it does not try again for ever, and
// hears the reason.
func (d *doctor) brokerServer(ctx context.Context) bool {
	b := &d.s.Settings.Broker
	uri := amqp.URI{Scheme: "amqp", Host: b.Host, Port: b.Port, Username: or(b.Username, "guest"), Password: or(b.Password.Reveal(), "guest"), Vhost: or(b.VirtualHost, "/")}
	tlsConfig, err := b.TLS.config()
	if err == nil && b.URL != "" {
		uri, err = amqp.ParseURI(b.URL.Reveal())
	}
	if b.URL == "" && b.TLS.Enabled {
		uri.Scheme = "amqps"
	}
	if uri.Port == 0 {
		uri.Port = map[string]int{"amqp": 5672, "amqps": 5671}[uri.Scheme]
	}
	var conn *amqp.Connection
	if err == nil {
		conn, err = amqp.DialConfig(uri.String(), amqp.Config{TLSClientConfig: tlsConfig, Dial: amqp.DefaultDial(min(d.timeout, b.DialTimeout)), Vhost: or(uri.Vhost, "/")})
	}
	if err != nil {
		d.failed("broker", redacted(err, uri.Password), brokerMend(err))
		return false
	}
	defer conn.Close()
	version := fmt.Sprint(conn.Properties["version"])
	d.fine("broker", "%v %s answers at %s:%d", conn.Properties["product"], version, uri.Host, uri.Port)
	if strings.HasPrefix(version, "3.") && !strings.HasPrefix(version, "3.13.") {
		d.warn("broker", "version "+version+" gets no fixes any more", "plan an upgrade")
	}
	d.publishing(ctx, conn)
	return ctx.Err() == nil
}

func brokerMend(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "403"):
		return "user, password or the right to the virtual host is wrong; guest may log in from the broker's own machine only"
	case strings.Contains(text, "refused"), strings.Contains(text, "timeout"), strings.Contains(text, "no such host"):
		return "does the broker run, and are host and port right?"
	case strings.Contains(text, "tls"), strings.Contains(text, "x509"):
		return "see broker.tls: the certificate is not trusted, or is for another name"
	}
	return ""
}
