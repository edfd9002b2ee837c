package command

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// djangoFile makes a database of a Django service with one due event for the exchange and returns its URL.
func djangoFile(t *testing.T, exchange string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "db.sqlite3")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ddl, err := os.ReadFile("../../sqlite/testdata/django-2.6.sql")
	if err != nil {
		t.Fatal(err)
	}
	insert := `INSERT INTO services_communication_publishedeventqueue (create_time, exchange, routing_key, is_new_style, body, send_after_time)
		VALUES ('2026-01-01 00:00:00', '` + exchange + `', 'k', true, '{"eventId": 1}', '2026-01-01 00:00:00')`
	for _, q := range []string{string(ddl), insert} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return "sqlite:" + file
}

func TestARelayOfADjangoTableDeclaresExchangesWithTheTypesOfTheProject(t *testing.T) {
	brokerURL, exchange := testenv.RabbitMQ(t), testenv.Unique(t, "fanout")
	// No queue is bound yet: the event is dropped, as runpublisher does.
	mustCall(t, ExitFailed, "relay", "--once", "--django", "--exchange="+exchange+":fanout", "--database-url="+djangoFile(t, exchange), "--broker-url="+brokerURL, "--app-id=svc")
	b, err := rabbitmq.New(&rabbitmq.Config{URL: brokerURL})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	defer b.DeleteExchange(t.Context(), exchange)
	// What a consumer of the project with ("…", "fanout") in EXCHANGES declares.
	if err := b.Declare(t.Context(), parley.Topology{Exchanges: []parley.Exchange{{Name: exchange, Type: parley.ExchangeFanout}}}); err != nil {
		t.Errorf("a consumer of the project cannot start: %v", err)
	}
	out := mustCall(t, ExitFailed, "doctor", "--broker-url="+brokerURL, "--exchanges="+exchange+":topic")
	wantText(t, out, "exchange \""+exchange+"\"", "differs from the settings")
}

func TestARelayOfADjangoTableWithoutAnAppIDSaysSo(t *testing.T) {
	args := []string{"relay", "--once", "--django", "--database-url=" + djangoFile(t, testenv.Unique(t, "x")), "--broker-url=" + testenv.RabbitMQ(t)}
	_, out, errs := call(t, args...)
	wantText(t, out+errs, "app_id is not set", "DJANGO_SETTINGS_MODULE")
	if _, out, errs = call(t, append(args, "--app-id=svc")...); strings.Contains(out+errs, "app_id is not set") {
		t.Errorf("with an app_id the relay says\n%s%s", out, errs)
	}
}
