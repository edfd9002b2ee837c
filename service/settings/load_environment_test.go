package settings

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPortThatIsNoServiceLinkIsUnknown(t *testing.T) {
	for pair, known := range map[string]bool{
		"PARLEY_HTTP_PORT=9090":                          false,
		"PARLEY_DATABASE_PORT=5433":                      false,
		"PARLEY_PORT=8080":                               false,
		"PARLEY_DATABASE_PORT_5433_TCP=5433":             false,
		"PARLEY_PORT=tcp://10.0.0.1:8080":                true,
		"PARLEY_DATABASE_PORT=tcp://10.0.0.1:5432":       true,
		"PARLEY_DNS_PORT=udp://10.0.0.1:53":              true,
		"PARLEY_DATABASE_PORT_5432_TCP=tcp://10.0.0.1:1": true,
		"PARLEY_DATABASE_PORT_5432_TCP_PROTO=tcp":        true,
		"PARLEY_DATABASE_PORT_5432_TCP_PORT=5432":        true,
		"PARLEY_DATABASE_PORT_5432_TCP_ADDR=10.0.0.1":    true,
		"PARLEY_DATABASE_SERVICE_HOST=10.0.0.1":          true,
		"PARLEY_DATABASE_SERVICE_PORT=5432":              true,
		"PARLEY_DATABASE_SERVICE_PORT_POSTGRES=5432":     true,
	} {
		name, _, _ := strings.Cut(pair, "=")
		_, err := load(t, "", pair)
		if known && err != nil || !known && (err == nil || !strings.Contains(err.Error(), name+": unknown setting")) {
			t.Errorf("%s: %v, want a mistake: %v", pair, err, !known)
		}
	}
}

func TestASecondDocumentIsAMistake(t *testing.T) {
	for doc, fails := range map[string]bool{
		"app_id: shop\n---\nqueue: q\n":          true,
		"---\n---\napp_id: shop\n":               true,
		"app_id: shop\n---\n---\nqueue: q\n":     true,
		"app_id: shop\n---\nqueue: [\n":          true,
		"# comment\n---\napp_id: shop\n":         false,
		"app_id: shop\n---\n# nothing follows\n": false,
		"app_id: shop\n...\n":                    false,
	} {
		_, err := load(t, doc)
		if fails != (err != nil) || fails && !strings.Contains(err.Error(), "second YAML document") {
			t.Errorf("%q: %v, want a mistake: %v", doc, err, fails)
		}
	}
}

func TestBlanksAndQuotesInListsOfTheEnvironment(t *testing.T) {
	s, err := load(t, "queue: q", "PARLEY_BINDS=orders: order.* , audit :#", "PARLEY_EXCHANGES=orders : topic, audit", "PARLEY_LOG_LEVELS=relay: debug , consumer :warn")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Bind{{"orders", "order.*"}, {"audit", "#"}}, s.Binds); diff != "" {
		t.Errorf("binds: want -, got +\n%s", diff)
	}
	if diff := cmp.Diff([]Exchange{{Name: "orders", Type: "topic"}, {Name: "audit"}}, s.Exchanges); diff != "" {
		t.Errorf("exchanges: want -, got +\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"relay": "debug", "consumer": "warn"}, s.Log.Levels); diff != "" {
		t.Errorf("log.levels: want -, got +\n%s", diff)
	}
	for _, pair := range []string{
		`PARLEY_EXCHANGES="user,order"`, `PARLEY_EXCHANGES=user,'order'`, `PARLEY_BINDS='auto'`, `PARLEY_BROKER_URLS="amqp://a,amqp://b"`,
		`PARLEY_QUEUES="orders,mail"`, `PARLEY_QUEUES=orders,'mail'`, `PARLEY_LOG_LEVELS="relay:debug"`, `PARLEY_LOG_LEVELS=relay:"debug"`,
		`PARLEY_CONSUMER_SECRETS="0123456789abcdef"`, `PARLEY_BINDS=orders:"order.*"`,
	} {
		if _, err := load(t, "queue: q", pair); err == nil || !strings.Contains(err.Error(), "in quotes") {
			t.Errorf("%s: %v, want a mistake about the quotes", pair, err)
		}
	}
}
