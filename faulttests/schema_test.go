//go:build unix

package faulttests_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/testenv"
)

// The name of the channel that wakes the relay is derived from the schema's name, which may be long and have any characters.
func TestARelayIsWokenInASchemaOfAnyName(t *testing.T) {
	t.Parallel()
	notShort(t)
	for _, schema := range []string{"public", "Tenant_A", strings.Repeat("s", 60), `o'brien's "own"`} {
		t.Run(schema[:min(len(schema), 10)], func(t *testing.T) {
			t.Parallel()
			plain := testenv.Postgres(t)
			l := newLabOn(t, inSchema(t, plain, schema), testenv.RabbitMQ(t), 1)
			s := l.child("relay")
			s.Settings = []string{"PARLEY_RELAY_POLL_INTERVAL=" + notifyPoll.String()}
			if !strings.Contains(schema, "'") { // such a name works only in the search path
				s.Database, s.Settings = plain, append(s.Settings, "PARLEY_DATABASE_SCHEMA="+schema)
			}
			if schema == "public" {
				s.Settings = s.Settings[:1] // by the default search path
			}
			relay := spawn(t, s)
			relay.works()
			l.woken()
			l.produce(100)
			l.drained()
			if n := relay.complaints(); n > 0 {
				t.Errorf("the relay logged %d warnings or errors:\n%s", n, relay.words())
			}
			relay.stop()
			f := l.judged()
			f.check(t, 0)
			counts.add(t, f.row("a schema named "+schema[:min(len(schema), 10)], 1))
		})
	}
}

// inSchema creates a schema, and returns a URL with this search path.
func inSchema(t *testing.T, database, schema string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	quoted := pgx.Identifier{schema}.Sanitize()
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA IF NOT EXISTS "+quoted); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", quoted)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // pgx keeps a + as it is
	return u.String()
}
