package service

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

func TestRelayDrainsTheTableOfADjangoService(t *testing.T) {
	ctx := t.Context()
	url, brokerURL := testenv.Postgres(t), testenv.RabbitMQ(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	ddl, err := os.ReadFile("../postgres/testdata/django-2.6.sql")
	if err != nil {
		t.Fatal(err)
	}
	name := testenv.Unique(t, "django")
	if _, err := conn.Exec(ctx, string(ddl)); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(ctx, `INSERT INTO services_communication_publishedeventqueue (create_time, exchange, routing_key, is_new_style, body, send_after_time)
		VALUES (now(), $1, 'k', true, '{"eventId": 1, "payload": {"a": 1}}', now())`, name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := rabbitmq.New(&rabbitmq.Config{URL: brokerURL})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(ctx)
	err = b.Declare(ctx, parley.Topology{
		Exchanges: []parley.Exchange{{Name: name}}, Queues: []parley.Queue{{Name: name, Exclusive: true}},
		Bindings: []parley.Binding{{Queue: name, Exchange: name}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.DeleteExchange(ctx, name)
	wantText(t, mustCall(t, ExitOK, "relay", "--once", "--django", "--database-url="+url, "--broker-url="+brokerURL, "--app-id=svc"), "moved 1 records")
	wantText(t, mustCall(t, ExitOK, "check", "--database-url="+url, "--database-table=services_communication_publishedeventqueue"), "due 0")
	sub, err := b.Subscribe(ctx, name, parley.SubscribeOptions{Prefetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	d, err := sub.Next(ctx)
	if err != nil || d.AppID != "svc" || string(d.Body) != `{"eventId": 1, "payload": {"a": 1}}` {
		t.Errorf("received %q by %q: %v", d.Body, d.AppID, err)
	}
}
