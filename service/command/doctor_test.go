package command

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestDoctorFindsNoProblemOfAHealthyServiceOnEveryDatabase(t *testing.T) {
	name, broker := testenv.Unique(t, "parley_doctor"), "--broker-url="+testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	flags := []string{broker, "--queue=" + name, "--exchanges=" + name, "--binds=" + name}
	mustCall(t, ExitOK, append([]string{"topology", "apply"}, flags...)...)
	for kind, flag := range map[string]string{
		"SQLite": sqliteURL(t), "PostgreSQL": "--database-url=" + testenv.Postgres(t), "MariaDB": "--database-url=" + servicetest.MySQLURL(t, testenv.MariaDB(t)),
	} {
		t.Run(kind, func(t *testing.T) {
			mustCall(t, ExitOK, "migrate", "up", flag)
			out := mustCall(t, ExitOK, append([]string{"doctor", flag}, flags...)...)
			wantText(t, out, "answers", "version", "migrations are applied", "clock", "RabbitMQ", `queue "`+name+`": 0 messages, 0 consumers`, "exists with the arguments of the settings")
		})
	}
}

func TestDoctorNamesEachProblemAndItsHint(t *testing.T) {
	name, url := testenv.Unique(t, "parley_doctor"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		return b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: name, Arguments: map[string]any{"x-message-ttl": int64(1000)}}}})
	})
	out := mustCall(t, ExitFailed, "doctor", "--broker-url="+url, "--queue="+name, "--exchanges="+name+".x",
		"--database-url=postgres://postgres@127.0.0.1:1/x?connect_timeout=1")
	wantText(t, out, "problem  database", "is the server running", "differs from the settings", "x-message-ttl", "does not exist yet", "no binding for queue")
	wantText(t, mustCall(t, ExitFailed, "doctor", "--database-url="+testenv.Postgres(t), "--broker-url="+withPassword(t, url, "wrong")),
		"migrations are not applied", "migrate up", "problem  broker", "user, password")
	wantText(t, mustCall(t, ExitOK, "doctor", "--json", "--broker-url=memory:"), `"verdict":"warning"`, "is in-process only")
}

func TestDoctorSeesTheRelayOfAPythonService(t *testing.T) {
	url := testenv.Postgres(t)
	python, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer python.Close(context.Background())
	ddl, err := os.ReadFile("../../postgres/testdata/django-2.6.sql")
	if err == nil {
		_, err = python.Exec(t.Context(), string(ddl))
	}
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"doctor", "--database-url=" + url, "--database-table=services_communication_publishedeventqueue"}
	wantText(t, mustCall(t, ExitOK, flags...), "no runpublisher", "notifications: arrive")
	if _, err := python.Exec(t.Context(), `LISTEN "public_eventqueued"`); err != nil {
		t.Fatal(err)
	}
	wantText(t, mustCall(t, ExitFailed, flags...), "look like runpublisher")
}

func TestDoctorSeesASequenceThatBreaksTheOrder(t *testing.T) {
	flag := "--database-url=" + testenv.Postgres(t)
	mustCall(t, ExitOK, "migrate", "up", flag)
	s := openFlag(t, flag)
	err := s.InTx(t.Context(), func(tx *service.Tx) error {
		_, err := tx.Pgx.Exec(t.Context(), "ALTER TABLE parley_outbox ALTER COLUMN id SET CACHE 50")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, mustCall(t, ExitOK, "doctor", flag), "hands out 50 ids", "required privileges")
}

func TestDoctorSeesAnOutboxThatHasLostItsTrigger(t *testing.T) {
	flag := "--database-url=" + testenv.Postgres(t)
	mustCall(t, ExitOK, "migrate", "up", flag)
	wantText(t, mustCall(t, ExitOK, "doctor", flag), "notifications: arrive\n")
	s := openFlag(t, flag)
	for _, statement := range []string{
		"ALTER TABLE parley_outbox DISABLE TRIGGER parley_outbox_notify", "DROP TRIGGER parley_outbox_notify ON parley_outbox",
	} {
		err := s.InTx(t.Context(), func(tx *service.Tx) error {
			_, err := tx.Pgx.Exec(t.Context(), statement)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wantText(t, mustCall(t, ExitOK, "doctor", flag), "has no trigger")
	}
}
