package command

import (
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
)

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
			wantText(t, mustCall(t, ExitFailed, "relay", "--once", "--timeout=300ms", flag, "--broker-url=amqp://127.0.0.1:1"), "nothing was sent", "check that the broker runs")
		})
	}
}

func TestRelayOnceLeavesTheRecordsOfAPausedExchange(t *testing.T) {
	flag, broker := sqliteURL(t), "--broker-url="+testenv.RabbitMQ(t)
	name := testenv.Unique(t, "parley_cli")
	paused, other := parley.NewEvent[user](name+".paused", "made"), parley.NewEvent[user](name+".other", "made")
	servicetest.CleanUp(t, paused.Exchange())
	servicetest.CleanUp(t, other.Exchange())
	s := openFlag(t, flag)
	publish(t, s, paused, 1)
	publish(t, s, other, 2)
	mustCall(t, ExitOK, "pause", "relay", "--exchange", paused.Exchange(), "--for", "1h", flag)
	// No queue is bound, so the broker drops what is published.
	wantText(t, mustCall(t, ExitFailed, "relay", "--once", flag, broker), "dropped 1 (no queue bound: "+other.Exchange()+"/made)",
		"not published: records of exchange "+paused.Exchange()+", paused by an operator until", "resume relay --exchange "+paused.Exchange())
	mustCall(t, ExitOK, "pause", "relay", "--for", "1h", flag)
	wantText(t, mustCall(t, ExitFailed, "relay", "--once", flag, broker), "dropped 0", "paused by an operator: relay until", "parley resume relay")
	mustCall(t, ExitOK, "resume", "relay", flag)
	mustCall(t, ExitOK, "resume", "relay", "--exchange", paused.Exchange(), flag)
	wantText(t, mustCall(t, ExitFailed, "relay", "--once", flag, broker), "dropped 1 (no queue bound: "+paused.Exchange()+"/made)")
}

func TestARelayOrConsumerAloneRefusesAMemoryBroker(t *testing.T) {
	wantText(t, mustCall(t, ExitUsage, "relay", "--once", sqliteURL(t), "--broker-url=memory:"), "flag --broker-url: memory: is in-process only")
}

func TestRelayOnceEndsAtOnceWithTheCauseWhenTheBrokerIsUnreachable(t *testing.T) {
	flag := sqliteURL(t)
	publish(t, openFlag(t, flag), renamed, 1)
	start := time.Now()
	wantText(t, mustCall(t, ExitFailed, "relay", "--once", flag, "--broker-url=amqp://127.0.0.1:1/"), "nothing was sent", "check that the broker runs")
	if took := time.Since(start); testenv.Late(t, took, 10*time.Second) {
		t.Errorf("the command took %v", took)
	}
}
