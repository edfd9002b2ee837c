package command

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

// databases returns, for each kind of database, the flag of a new one with tables.
func databases(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{
		"SQLite": sqliteURL(t), "PostgreSQL": "--database-url=" + testenv.Postgres(t), "MariaDB": "--database-url=" + servicetest.MySQLURL(t, testenv.MariaDB(t)),
	}
	for kind, flag := range out {
		if kind != "SQLite" {
			mustCall(t, ExitOK, "migrate", "up", flag)
		}
	}
	return out
}

// A kept describes a failed delivery to store. Its number is in message id and body.
type kept struct {
	state parley.FailureState
	after time.Duration
	key   string
	holds bool
	kind  parley.Kind
	body  string
	group string
}

// keep stores failed deliveries of a consumer and returns their ids.
func keep(t *testing.T, s *service.Service, consumer string, list ...kept) []string {
	t.Helper()
	var failures []parley.Failure
	for i, k := range list {
		body := cmp.Or(k.body, fmt.Sprintf(`{"eventId": %d, "payload": {"id": %d}}`, i+1, i+1))
		failures = append(failures, parley.Failure{
			Message: parley.Message{Exchange: "user", RoutingKey: "renamed", ID: fmt.Sprintf("m%d", i+1), Kind: k.kind, Body: []byte(body)},
			History: parley.History{Attempts: 3, FirstError: "first", LastError: "last\x1b[2J", Reason: "gave up"},
			State:   k.state, After: k.after, Key: k.key, Holds: k.holds, Fingerprint: k.group,
		})
	}
	rows, err := s.Database().Failures().Keep(t.Context(), consumer, failures)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, fmt.Sprintf("c%d", row.ID))
	}
	return ids
}

var (
	parkedRow  = kept{state: parley.FailureParked}
	waitingRow = kept{state: parley.FailureWaiting, after: time.Hour}
)

// claimOne claims the one due row, as a consumer does.
func claimOne(t *testing.T, s *service.Service, consumer string) parley.ClaimedFailure {
	t.Helper()
	rows, err := s.Database().Failures().Claim(t.Context(), consumer, parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute, Owner: "test"})
	if err != nil || len(rows) != 1 {
		t.Fatalf("claimed %d rows (%v), want one", len(rows), err)
	}
	return rows[0]
}

func TestEveryCommandForFailedDeliveriesWorksOnEveryDatabase(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := openFlag(t, flag)
			ids := keep(t, s, "orders", parkedRow, parkedRow, waitingRow, parkedRow)
			keep(t, s, "others", parkedRow)
			park(t, s, 1, "refused")
			run := func(code int, args ...string) string {
				t.Helper()
				return mustCall(t, code, append([]string{flag, "--queue=orders"}, args...)...)
			}
			list := run(ExitOK, "parked", "ls")
			if strings.ContainsRune(list, 0x1b) {
				t.Error("the list sends an escape sequence to the terminal")
			}
			wantText(t, list, "o1", ids[0], ids[3], "gave up", "other consumers with failed deliveries: others")
			if got := idsOf(list, consumerLetter); len(got) != 3 {
				t.Errorf("listed %q, want the three parked ones", got)
			}
			waiting := run(ExitOK, "parked", "ls", "--waiting")
			if got := idsOf(waiting, consumerLetter); len(got) != 1 || got[0] != ids[2] {
				t.Errorf("waiting rows: %q, want %s:\n%s", got, ids[2], waiting)
			}
			wantText(t, run(ExitOK, "parked", "ls", "--all-consumers"), "others")
			wantText(t, run(ExitOK, "parked", "ls", "--consumer=others", "--json"), `"consumer":"others"`, `"attempts":3`)
			wantText(t, run(ExitOK, "parked", "ls", "--limit=2"), "continue with --after "+ids[0])
			wantText(t, run(ExitOK, "parked", "show", ids[0]), "failed attempts", "3", `last\x1b[2J`, `"eventId": 1`)
			run(ExitOK, "parked", "edit", ids[0], "--yes", "--file", servicetest.WriteFile(t, "body", `{"fixed": true}`))
			wantText(t, run(ExitOK, "parked", "export", ids[0], ids[1]), `"fixed":true`, `"eventId":2`)
			wantText(t, run(ExitOK, "check", "--max-delay=1h", "--max-parked=5"), "parked 5", "consumer orders: waiting 1, behind others 0, running 0, parked 3", "consumer others (not the consumer of these settings)")
			wantText(t, run(ExitFailed, "check", "--max-delay=1h", "--max-parked=4"), "UNHEALTHY: 5 messages are parked")
			wantText(t, run(ExitOK, "parked", "replay", ids[0], "--dry-run"), "would have replayed 1")
			wantText(t, run(ExitOK, "parked", "replay", ids[0], ids[2]), "replayed 2")
			wantText(t, run(ExitFailed, "parked", "replay", "c987654"), "not found: 1 of 1 ids")
			wantText(t, run(ExitOK, "parked", "drop", ids[1], "--yes"), "dropped 1")
			wantText(t, run(ExitOK, "parked", "move", "--consumer=others", "orders"), "moved 1")
			wantText(t, run(ExitOK, "parked", "drop", "--consumer=orders", "--all", "--yes"), "dropped 2")
			wantText(t, run(ExitOK, "parked", "drop", "--waiting", "--all", "--yes"), "dropped 2")
			if list := run(ExitOK, "parked", "ls", "--all-consumers"); len(idsOf(list, consumerLetter)) != 0 || len(idsOf(list, outboxLetter)) != 1 {
				t.Errorf("left in the list:\n%swant only the record of the outbox", list)
			}
		})
	}
}

func TestAReplayOfAWaitingMessageMakesItDueNow(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "orders", waitingRow)
	if rows, err := s.Database().Failures().Claim(t.Context(), "orders", parley.FailureClaimOptions{Limit: 1, KeyRun: 1, Lease: time.Minute}); err != nil || len(rows) != 0 {
		t.Fatalf("claimed %d rows before the replay: %v", len(rows), err)
	}
	mustCall(t, ExitOK, "parked", "replay", ids[0], flag)
	if row := claimOne(t, s, "orders"); row.Message.ID != "m1" || row.History.Replays != 1 {
		t.Errorf("claimed %q with %d replays, want m1 with one", row.Message.ID, row.History.Replays)
	}
}

func TestAMessageThatIsBeingHandledIsLeftAlone(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "orders", kept{state: parley.FailureWaiting})
	claimOne(t, s, "orders")
	wantText(t, mustCall(t, ExitFailed, "parked", "replay", ids[0], flag), "replayed 0", "skipped 1 message: it is being handled")
	wantText(t, mustCall(t, ExitFailed, "parked", "drop", ids[0], flag), "dropped 0", "is being handled")
	wantText(t, mustCall(t, ExitFailed, "parked", "edit", ids[0], "--file", servicetest.WriteFile(t, "body", "{}"), flag), "is being handled")
	wantText(t, mustCall(t, ExitFailed, "parked", "move", "--consumer=orders", "orders2", flag), "moved 0", "being handled")
	wantText(t, mustCall(t, ExitOK, "parked", "show", ids[0], flag), "running", "handled by", "test")
}

func TestAnExpiredCommandIsReplayedOnlyWithForce(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "orders",
		kept{state: parley.FailureParked, kind: parley.KindCommand, body: `{"a": 1, "meta": {"expiredTime": "2020-01-02T03:04:05.000Z"}}`},
		kept{state: parley.FailureParked, body: `{"meta": {"expired_time": "2020-01-02T03:04:05.000Z"}}`}, // of the Python library
		kept{state: parley.FailureParked, kind: parley.KindCommand, body: `{"a": 1, "meta": {"expiredTime": "2120-01-02T03:04:05.000Z"}}`},
		parkedRow)
	wantText(t, mustCall(t, ExitFailed, "parked", "replay", "--all", flag), "replayed 2", "skipped 2 messages: they have expired", "--force")
	wantText(t, mustCall(t, ExitOK, "parked", "show", ids[0], flag), "expires", "2020-01-02T03:04:05Z")
	wantText(t, mustCall(t, ExitOK, "parked", "replay", ids[0], ids[1], "--force", flag), "replayed 2")
}

func TestMoreThanOnePageOfFailedDeliveriesIsReplayedAndDropped(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	list := make([]kept, parkedPage+20)
	for i := range list {
		list[i] = parkedRow
	}
	keep(t, s, "orders", list...)
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "--exchange=us*", flag), fmt.Sprintf("replayed %d", len(list)))
	wantText(t, mustCall(t, ExitOK, "parked", "drop", "--waiting", "--all", "--yes", flag), fmt.Sprintf("dropped %d", len(list)))
}

func num(n int64) string { return fmt.Sprint(n) }

func contains(text, part string) bool { return strings.Contains(text, part) }

func TestTheTableOfFailedDeliveriesMayHaveAnotherName(t *testing.T) {
	flag := sqliteURL(t)
	mustCall(t, ExitOK, "migrate", "up", flag, "--consumer-failures-table=failed_orders")
	_, url, _ := strings.Cut(flag, "=")
	for _, table := range []string{"failed_orders", "parley_failed"} {
		s, err := service.Open(&settings.Settings{Database: settings.Database{URL: settings.URL(url)}, Consumer: settings.Consumer{Failures: settings.Failures{Table: table}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		keep(t, s, table, parkedRow)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if list := mustCall(t, ExitOK, "parked", "ls", flag, "--consumer-failures-table=failed_orders"); strings.Contains(list, "parley_failed") {
		t.Errorf("the list has rows of the other table:\n%s", list)
	}
	wantText(t, mustCall(t, ExitFailed, "parked", "ls", flag, "--consumer-failures-table=no-table;"), "no-table;")
}
