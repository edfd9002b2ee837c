package command

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestCheckReportsEventsThatAreDueForTooLong(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	mustCall(t, ExitOK, "check", flag)
	publish(t, s, remind, 1, parley.WithDueAt(time.Now().Add(time.Hour)))
	publish(t, s, renamed, 2)
	wantText(t, mustCall(t, ExitOK, "check", flag, "--max-delay=1h"), "due 1", "scheduled 1")
	wantText(t, mustCall(t, ExitFailed, "check", flag, "--max-delay=0s"), "UNHEALTHY: 1 event is due")
	mustCall(t, ExitOK, "check", flag, "--max-delay=0s", "--max-pending=1")

	var got struct {
		Healthy bool
		Due     int
	}
	if err := json.Unmarshal([]byte(mustCall(t, ExitFailed, "check", flag, "--max-delay=0s", "--json")), &got); err != nil || got.Healthy || got.Due != 1 {
		t.Errorf("JSON is %+v, %v; want 1 due, not healthy", got, err)
	}
}

func TestCheckExitsWith2WhenItCannotDetermineTheState(t *testing.T) {
	wantText(t, mustCall(t, ExitUsage, "check", "--database-url=sqlite:"+filepath.Join(t.TempDir(), "no-tables.db")), "cannot determine")
	wantText(t, mustCall(t, ExitUsage, "check", "--database-url=postgres://user@127.0.0.1:1/x?connect_timeout=1"), "cannot determine")
	wantText(t, mustCall(t, ExitUsage, "check"), "database.url: is missing", "PARLEY_DATABASE_URL", "--database-url")
	wantText(t, mustCall(t, ExitUsage, "check", "--database-url=memory:"), "is in-process only")
	wantText(t, mustCall(t, ExitUsage, "check", "--max-dely=1s"), "unknown flag", "parley check --help")
}

func TestWrongCommandLinesExitWith2AndAHint(t *testing.T) {
	wantText(t, mustCall(t, ExitUsage, "rely"), `unknown command "rely": did you mean relay?`)
	wantText(t, mustCall(t, ExitUsage, "migrate", "upp"), `did you mean up?`)
	wantText(t, mustCall(t, ExitUsage, "migrate", "up", "now"), `unexpected argument "now"`)
	wantText(t, mustCall(t, ExitUsage, "relay", "--mode=chaos"), `flag --mode: "chaos" is not known (use ordered or parallel)`)
	wantText(t, mustCall(t, ExitUsage, "relay"), "database.url: is missing", "broker.url: is missing")
	wantText(t, mustCall(t, ExitUsage, "scheduled", "ls", "--exchange=x"), "must be given together")
	wantText(t, mustCall(t, ExitUsage, "parked", "drop"), "give ids or a filter, or --all")
	wantText(t, mustCall(t, ExitUsage, "parked", "show"), "give the id")
}

func TestMigrateStatusExitsWith1UntilTheTablesAreThere(t *testing.T) {
	flag := "--database-url=sqlite:" + servicetest.WriteFile(t, "test.db", "") // an empty file is an empty database
	wantText(t, mustCall(t, ExitFailed, "migrate", "status", flag), "pending")
	mustCall(t, ExitOK, "migrate", "up", flag)
	wantText(t, mustCall(t, ExitOK, "migrate", "status", flag), "applied")
	wantText(t, mustCall(t, ExitOK, "migrate", "sql", flag), "CREATE TABLE parley_outbox")
	wantText(t, mustCall(t, ExitOK, "migrate", "sql", "--dialect=postgres"), "parley_outbox")
	mustCall(t, ExitUsage, "migrate", "sql", "--dialect=oracle")
}

func TestScheduledMessagesAreListedCancelledAndMovedByTags(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	due := time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)
	for id := range int64(3) {
		publish(t, s, remind, id, parley.WithDueAt(due.Add(time.Duration(id)*time.Hour)), parley.WithTags(parley.Tags{"user_id": id, "evil": "\x1b[2J\n"}))
	}
	list := mustCall(t, ExitOK, "scheduled", "ls", flag)
	wantText(t, list, "2100-01-02T03:04:05Z", "remind.photo", `evil=\x1b[2J\n user_id=0`, "user_id=2")
	if strings.ContainsRune(list, 0x1b) {
		t.Error("the list sends an escape sequence to the terminal")
	}
	at := []string{"--exchange=user", "--routing-key=remind.photo"}
	one := mustCall(t, ExitOK, append(at, "scheduled", "ls", flag, "--tag=user_id=1", "--json")...)
	if strings.Count(one, "\n") != 1 || !strings.Contains(one, `"payload":{"id":1}`) {
		t.Errorf("want one line of JSON about user 1:\n%s", one)
	}
	wantText(t, mustCall(t, ExitOK, append(at, "scheduled", "cancel", flag, "--tag=user_id=1", "--dry-run")...), "would have cancelled 1")
	wantText(t, mustCall(t, ExitOK, append(at, "scheduled", "cancel", flag, "--tag=user_id=1")...), "cancelled 1")
	wantText(t, mustCall(t, ExitOK, append(at, "scheduled", "cancel", flag, "--tag=user_id=1")...), "cancelled 0")
	wantText(t, mustCall(t, ExitOK, append(at, "scheduled", "reschedule", flag, "--tag=user_id=2", "--to=2090-01-01T00:00:00Z")...), "moved 1")
	wantText(t, mustCall(t, ExitOK, "scheduled", "ls", flag, "--limit=1"), "2090-01-01T00:00:00Z")
	id := strings.Fields(strings.Split(mustCall(t, ExitOK, "scheduled", "ls", flag), "\n")[1])[0]
	wantText(t, mustCall(t, ExitOK, "scheduled", "show", flag, id), "due at", "2090-01-01T00:00:00Z", "user_id=2", `"payload": {`)
	wantText(t, mustCall(t, ExitOK, "scheduled", "show", flag, id, "-o", "yaml"), "due_at: \"2090-01-01T00:00:00Z\"", "user_id: \"2\"")
	wantText(t, mustCall(t, ExitOK, "scheduled", "reschedule", flag, id, "--to=2091-01-01T00:00:00Z"), "moved 1")
	wantText(t, mustCall(t, ExitFailed, "scheduled", "cancel", flag, id, "999"), "no scheduled message has the id 999", "nothing was cancelled")
	wantText(t, mustCall(t, ExitOK, "scheduled", "cancel", flag, id, "--dry-run"), "would have cancelled 1")
	wantText(t, mustCall(t, ExitOK, "scheduled", "show", flag, id), "2091-01-01T00:00:00Z")
	wantText(t, mustCall(t, ExitOK, "scheduled", "cancel", flag, id), "cancelled 1")
	wantText(t, mustCall(t, ExitFailed, "scheduled", "show", flag, id), "it was sent or cancelled")
	wantText(t, mustCall(t, ExitUsage, "scheduled", "cancel", flag, "o12"), "is not the number of a scheduled message")
	wantText(t, mustCall(t, ExitUsage, append(at, "scheduled", "cancel", flag, "7", "--tag=a=b")...), "not both")
	mustCall(t, ExitUsage, append(at, "scheduled", "cancel", flag)...)
	mustCall(t, ExitUsage, append(at, "scheduled", "reschedule", flag, "--tag=a=b", "--to=tomorrow")...)
}

// park publishes n events and parks their records as a relay does.
func park(t *testing.T, s *service.Service, n int64, reason string) {
	t.Helper()
	for id := range n {
		publish(t, s, renamed, id+1)
	}
	b, err := s.Database().Claim(t.Context(), parley.ClaimOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var parked []parley.Parked
	for _, r := range b.Records() {
		parked = append(parked, parley.Parked{Record: r, Reason: reason})
	}
	if _, err := b.Settle(t.Context(), nil, parked); err != nil {
		t.Fatal(err)
	}
}

func TestParkedRecordsAreListedShownEditedReplayedAndDropped(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	park(t, s, 3, "refused\x1b]0;title\a")
	list := mustCall(t, ExitOK, "parked", "ls", flag, "--limit=2")
	wantText(t, list, `refused\x1b]0;title\a`, "renamed", "continue with --after o2")
	if strings.ContainsRune(list, 0x1b) {
		t.Error("the list sends an escape sequence to the terminal")
	}
	if rest := mustCall(t, ExitOK, "parked", "ls", flag, "--after=o2"); !strings.Contains(rest, "o3 ") || strings.Contains(rest, "o2 ") {
		t.Errorf("after o2 the list does not contain o3 only:\n%s", rest)
	}
	wantText(t, mustCall(t, ExitOK, "parked", "show", "o2", flag), "reason", `"eventId": 2`, `"payload": {`)
	body := servicetest.WriteFile(t, "body.json", `{"fixed": true}`)
	wantText(t, mustCall(t, ExitUsage, "parked", "edit", "o2", "--file", body, flag), "-   \"id\": 2", "+   \"fixed\": true", "--yes is required without a terminal")
	mustCall(t, ExitOK, "parked", "edit", "o2", "--file", body, "--yes", flag)
	wantText(t, mustCall(t, ExitOK, "parked", "export", "o2", flag), `"payload":{"fixed":true}`, `"eventId":2`, `"eventType":"renamed"`)
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "o2", "--dry-run", flag), "would have replayed 1")
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "o2", flag), "replayed 1")
	wantText(t, mustCall(t, ExitFailed, "parked", "replay", "o2", flag), "replayed 0", "not found: 1 of 1 ids")
	wantText(t, mustCall(t, ExitOK, "parked", "drop", "--routing-key=other.*", flag), "dropped 0")
	wantText(t, mustCall(t, ExitOK, "parked", "drop", "--routing-key=re*", "--reason=refused", "--yes", flag), "dropped 2")
	wantText(t, mustCall(t, ExitOK, "check", flag, "--max-parked=0", "--max-delay=1h"), "due 1", "parked 0")
	wantText(t, mustCall(t, ExitFailed, "parked", "show", "o2", flag), "no parked message has the id")
	mustCall(t, ExitUsage, "parked", "replay", "--all", "--reason=x", flag)
}

func TestParkedCommandsGoThroughMoreThanOnePage(t *testing.T) {
	flag := sqliteURL(t)
	park(t, openFlag(t, flag), parkedPage/2, "first")
	park(t, openFlag(t, flag), parkedPage, "second")
	wantText(t, mustCall(t, ExitOK, "parked", "replay", "--reason=second", flag), fmt.Sprintf("replayed %d", parkedPage))
	wantText(t, mustCall(t, ExitOK, "parked", "drop", "--all", "--yes", flag), fmt.Sprintf("dropped %d", parkedPage/2))
}

func TestRelayOnceDrainsAndExits(t *testing.T) {
	broker := "--broker-url=" + testenv.RabbitMQ(t)
	for name, flag := range map[string]string{"SQLite": sqliteURL(t), "PostgreSQL": "--database-url=" + testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			mustCall(t, ExitOK, "migrate", "up", flag)
			s := openFlag(t, flag)
			event := parley.NewEvent[user](testenv.Unique(t, "parley_cli"), "made")
			servicetest.CleanUp(t, event.Exchange())
			for id := range int64(3) {
				publish(t, s, event, id)
			}
			// No queue is bound, so the broker drops the events.
			wantText(t, mustCall(t, ExitFailed, "relay", "--once", flag, broker), "delivered 0, dropped 3 (no queue bound: "+event.Exchange()+"/made), parked 0")
			wantText(t, mustCall(t, ExitOK, "relay", "--once", flag, broker), "delivered 0, dropped 0, parked 0")
			wantText(t, mustCall(t, ExitOK, "check", flag, "--max-delay=0s"), "due 0")
			wantText(t, mustCall(t, ExitFailed, "relay", "--once", "--timeout=300ms", flag, "--broker-url=amqp://127.0.0.1:1"), "gave up after 300ms")
		})
	}
}

func TestARelayOrConsumerAloneRefusesAMemoryBroker(t *testing.T) {
	wantText(t, mustCall(t, ExitUsage, "relay", "--once", sqliteURL(t), "--broker-url=memory:"), "flag --broker-url: memory: is in-process only")
}

func TestSettingsCommandsCheckShowAndDescribe(t *testing.T) {
	file := servicetest.WriteFile(t, "parley.yaml", "broker: {url: 'amqp://u:cAnArY@example.com/'}\nqueue: q\nbinds: [x]\n")
	wantText(t, mustCall(t, ExitOK, "settings", "check", "--settings", file), "are valid", "unencrypted", `exchange "x" is not listed in exchanges`)
	for _, show := range []string{
		mustCall(t, ExitOK, "settings", "show", "--settings", file),
		mustCall(t, ExitOK, "settings", "show", "--json", "--settings", file, "--app-id=me"),
	} {
		wantText(t, show, "parley.yaml: queue", "relay.batch_size", "default")
		if strings.Contains(show, "cAnArY") {
			t.Errorf("the password is shown:\n%s", show)
		}
	}
	wantText(t, mustCall(t, ExitOK, "settings", "schema"), `"additionalProperties": false`)
	wantText(t, mustCall(t, ExitUsage, "settings", "check", "--settings", "no such file"), "read the settings file")
}

func TestTopologyPlanListsWhatApplyWouldDeclare(t *testing.T) {
	name := testenv.Unique(t, "parley_topology")
	servicetest.CleanUp(t, name)
	flags := []string{"--broker-url=" + testenv.RabbitMQ(t), "--queue=" + name, "--exchanges=" + name + ":fanout", "--binds=" + name}
	wantText(t, mustCall(t, ExitFailed, append(flags, "topology", "plan")...), "missing  exchange  "+name+"  type fanout", "missing  queue", "wanted   binding")
	wantText(t, mustCall(t, ExitOK, append(flags, "topology", "apply")...), "declared 1 exchange, 1 queue, 1 binding")
	wantText(t, mustCall(t, ExitOK, append(flags, "topology", "plan")...), "exists  exchange", "exists  queue")
}
