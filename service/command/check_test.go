package command

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
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

func TestCheckNamesConsumersWhoseRetriesNoProcessRuns(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	keep(t, s, "old-orders", kept{state: parley.FailureWaiting})
	due := func() bool { // at least 2ms overdue, by the database's clock
		st, err := s.Database().Failures().Stats(t.Context(), "old-orders")
		return err == nil && st.OldestWaiting >= 2*time.Millisecond
	}
	for deadline := time.Now().Add(servicetest.Patience); !due() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	args := []string{"check", flag, "--queue=orders", "--max-overdue=1ms"}
	wantText(t, mustCall(t, ExitFailed, args...), `UNHEALTHY: retries of consumer "old-orders" are overdue`, `parked move --consumer "old-orders" NEW`)
	mustCall(t, ExitOK, "check", flag, "--queue=orders", "--max-overdue=1h")
	var got struct {
		Healthy   bool
		Consumers []struct {
			Name    string
			Waiting int
			Own     bool
		}
	}
	if err := json.Unmarshal([]byte(mustCall(t, ExitFailed, append(args, "--json")...)), &got); err != nil || got.Healthy || len(got.Consumers) != 1 || got.Consumers[0].Waiting != 1 || got.Consumers[0].Own {
		t.Errorf("JSON is %+v (%v), want one other consumer with one waiting row", got, err)
	}
	wantText(t, mustCall(t, ExitOK, "parked", "move", "--consumer=old-orders", "orders", flag), "moved 1")
	wantText(t, mustCall(t, ExitOK, "check", flag, "--queue=orders", "--max-overdue=1h"), "consumer orders: waiting 1")
}

// Once, parked ls was empty and check reported parked 0.
func TestTheParkedListAndCheckIncludeOutboxAndParkedQueue(t *testing.T) {
	name, url := testenv.Unique(t, "parley_parked"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	failThenPark(t, settings.URL(url), name, 3)
	flag := sqliteURL(t)
	park(t, openFlag(t, flag), 2, "refused")
	flags := []string{flag, "--broker-url=" + url, "--queue=" + name}
	list := mustCall(t, ExitOK, append(flags, "parked", "ls")...)
	if records, messages := idsOf(list, outboxLetter), idsOf(list, queueLetter); len(records) != 2 || len(messages) != 3 {
		t.Errorf("listed %q and %q, want 2 records and 3 messages of the queue:\n%s", records, messages, list)
	}
	wantText(t, mustCall(t, ExitOK, append(flags, "check")...), "parked 5", "parked queue: 3")
	wantText(t, mustCall(t, ExitFailed, append(flags, "check", "--max-parked=4")...), "UNHEALTHY: 5 messages are parked")
	wantText(t, mustCall(t, ExitOK, append(flags, "check", "--json")...), `"parked":5`, `"parked_queue":3`, `"parked_outbox":2`)
	limited := mustCall(t, ExitOK, append(flags, "parked", "ls", "--limit=3")...)
	wantText(t, limited, "continue with --after q")
	wantText(t, mustCall(t, ExitOK, append(flags, "parked", "drop", "--outbox", "--all", "--yes")...), "dropped 2")
	wantText(t, mustCall(t, ExitOK, append(flags, "parked", "drop", "--all", "--yes")...), "dropped 3")
}
