package command

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestRelayOnceTellsWhatItParkedAndExitsWith1(t *testing.T) {
	flag, broker := sqliteURL(t), "--broker-url="+testenv.RabbitMQ(t)
	event := parley.NewEvent[user](testenv.Unique(t, "parley_cli"), "made")
	servicetest.CleanUp(t, event.Exchange())
	publish(t, openFlag(t, flag), event, 1)
	wantText(t, mustCall(t, ExitFailed, "relay", "--once", "--relay-unroutable=park", flag, broker), "delivered 0, dropped 0, parked 1 (no queue bound: "+event.Exchange()+"/made)")
}

func TestTopologyPlanTellsDifferencesAndMissingExchangesOfBindings(t *testing.T) {
	name := testenv.Unique(t, "parley_plan")
	servicetest.CleanUp(t, name)
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		return b.Declare(ctx, parley.Topology{
			Exchanges: []parley.Exchange{{Name: name, Type: parley.ExchangeFanout}},
			Queues:    []parley.Queue{{Name: name, Arguments: map[string]any{"x-queue-type": "quorum"}}},
		})
	})
	flags := []string{"--broker-url=" + testenv.RabbitMQ(t), "--exchanges=" + name, "--queue=" + name, "--binds=" + name + "," + name + ".other"}
	wantText(t, mustCall(t, ExitFailed, append(flags, "topology", "plan")...), "STATE", "differs  exchange  "+name, "type", "differs  queue     "+name, "x-queue-type",
		"missing  exchange  "+name+".other", "of a binding", "3 of 3 exchanges and queues")
	wantText(t, mustCall(t, ExitFailed, append(flags, "doctor")...), `problem  exchange "`+name+`": differs from the settings`, `problem  queue "`+name+`": differs`,
		`problem  exchange "`+name+`.other" of a binding: does not exist`)
}

func TestOneShotCommandsEndWithoutABroker(t *testing.T) {
	refused := "--broker-url=" + withPassword(t, testenv.RabbitMQ(t), "wrong")
	const away = "--broker-url=amqp://127.0.0.1:1"
	for _, args := range [][]string{{"topology", "plan"}, {"topology", "apply"}, {"tail", "user"}, {"publish", "user", "renamed", "--payload={}", "--direct"}} {
		start := time.Now()
		if out := mustCall(t, ExitFailed, append(args, refused)...); !strings.Contains(out, "user, password") {
			t.Errorf("%v with a wrong password lacks the doctor's text:\n%s", args, out)
		}
		if out := mustCall(t, ExitFailed, append(args, away)...); !strings.Contains(out, "check that the broker runs") {
			t.Errorf("%v without a broker lacks the doctor's text:\n%s", args, out)
		}
		if took := time.Since(start); testenv.Late(t, took, loginTimeout) {
			t.Errorf("%v took %v", args, took)
		}
	}
}

func TestPublishWarnsOfAnExchangeThatDoesNotExist(t *testing.T) {
	flag, broker := sqliteURL(t), "--broker-url="+testenv.RabbitMQ(t)
	name := testenv.Unique(t, "parley_typo")
	wantText(t, mustCall(t, ExitOK, "publish", name, "renamed", "--payload={}", flag, broker), "recorded in the outbox", "warning: the broker has no exchange "+name)
	wantText(t, mustCall(t, ExitOK, "publish", name, "renamed", "--payload={}", flag, "--broker-url=amqp://127.0.0.1:1/"), "recorded in the outbox", "safe in the outbox")
	servicetest.CleanUp(t, name)
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		return b.Declare(ctx, parley.Topology{Exchanges: []parley.Exchange{{Name: name}}})
	})
	if out := mustCall(t, ExitOK, "publish", name, "renamed", "--payload={}", flag, broker); strings.Contains(out, "warning: the broker") {
		t.Errorf("publish warns of an exchange that exists:\n%s", out)
	}
}

func TestTopologyPlanListsWhatApplyWouldDeclare(t *testing.T) {
	name := testenv.Unique(t, "parley_topology")
	servicetest.CleanUp(t, name)
	flags := []string{"--broker-url=" + testenv.RabbitMQ(t), "--queue=" + name, "--exchanges=" + name + ":fanout", "--binds=" + name}
	wantText(t, mustCall(t, ExitFailed, append(flags, "topology", "plan")...), "missing  exchange  "+name+"  type fanout", "missing  queue", "wanted   binding")
	wantText(t, mustCall(t, ExitOK, append(flags, "topology", "apply")...), "declared 1 exchange, 1 queue, 1 binding")
	wantText(t, mustCall(t, ExitOK, append(flags, "topology", "plan")...), "exists  exchange", "exists  queue")
}

func TestTailAndSendNeedNoBindings(t *testing.T) {
	name := testenv.Unique(t, "parley_unbound")
	servicetest.CleanUp(t, name)
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		return b.Declare(ctx, parley.Topology{
			Exchanges: []parley.Exchange{{Name: name}}, Queues: []parley.Queue{{Name: name}}, Bindings: []parley.Binding{{Queue: name, Exchange: name}},
		})
	})
	flags := []string{"--broker-url=" + testenv.RabbitMQ(t), "--queue=" + name, "--binds=auto"}
	wantText(t, mustCall(t, ExitFailed, append(flags, "tail", name+".missing")...), "no exchange")
	wantText(t, mustCall(t, ExitOK, append(flags, "send", name, "x", "--arguments={}")...), "sent and routed")
	wantText(t, mustCall(t, ExitOK, append(flags, "publish", name, "x", "--payload={}", "--direct")...), "sent and routed")
	for _, sub := range []string{"plan", "apply"} {
		wantText(t, mustCall(t, ExitFailed, append(flags, "topology", sub)...), "depends on the handlers")
	}
}
