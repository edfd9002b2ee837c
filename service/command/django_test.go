package command

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

func TestRelayDrainsTheTableOfADjangoService(t *testing.T) {
	postgres, file := testenv.Postgres(t), filepath.Join(t.TempDir(), "db.sqlite3")
	dsn := testenv.MariaDB(t)
	login, path, _ := strings.Cut(dsn, "@tcp(")
	host, name, _ := strings.Cut(path, ")/")
	name, _, _ = strings.Cut(name, "?")
	for _, c := range []struct{ driver, dsn, url, ddl, now string }{
		{"pgx", postgres, postgres, "../../postgres/testdata/django-2.6.sql", "now()"},
		{"sqlite", file, "sqlite:" + file, "../../sqlite/testdata/django-2.6.sql", "'2026-01-01 00:00:00'"},
		{"mysql", dsn + "?multiStatements=true", "mysql://" + login + "@" + host + "/" + name, "../../mysql/testdata/django-2.6.sql", "'2026-01-01 00:00:00'"},
	} {
		t.Run(c.driver, func(t *testing.T) {
			db, err := sql.Open(c.driver, c.dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			ddl, err := os.ReadFile(c.ddl)
			if err != nil {
				t.Fatal(err)
			}
			exchange := testenv.Unique(t, "django")
			insert := fmt.Sprintf(`INSERT INTO services_communication_publishedeventqueue (create_time, exchange, routing_key, is_new_style, body, send_after_time)
				VALUES (%s, '%s', 'k', true, '{"eventId": 1, "payload": {"a": 1}}', %s)`, c.now, exchange, c.now)
			for _, q := range []string{string(ddl), insert} {
				if _, err := db.ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			relayDjango(t, c.url, exchange)
		})
	}
}

// relayDjango relays the one row of a table and receives its message.
func relayDjango(t *testing.T, url, exchange string) {
	t.Helper()
	ctx, brokerURL := t.Context(), testenv.RabbitMQ(t)
	b, err := rabbitmq.New(&rabbitmq.Config{URL: brokerURL})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(ctx)
	err = b.Declare(ctx, parley.Topology{
		Exchanges: []parley.Exchange{{Name: exchange}}, Queues: []parley.Queue{{Name: exchange, Exclusive: true}},
		Bindings: []parley.Binding{{Queue: exchange, Exchange: exchange}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.DeleteExchange(ctx, exchange)
	wantText(t, mustCall(t, ExitOK, "relay", "--once", "--django", "--database-url="+url, "--broker-url="+brokerURL, "--app-id=svc"), "delivered 1, dropped 0, parked 0\n")
	wantText(t, mustCall(t, ExitOK, "check", "--database-url="+url, "--database-table=services_communication_publishedeventqueue"), "due 0")
	sub, err := b.Subscribe(ctx, exchange, parley.SubscribeOptions{Prefetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	d, err := sub.Next(ctx)
	if err != nil || d.AppID != "svc" || !strings.Contains(string(d.Body), `"eventId": 1`) {
		t.Errorf("received %q by %q: %v", d.Body, d.AppID, err)
	}
}
