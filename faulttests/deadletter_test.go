//go:build unix

package faulttests_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

// A retry must not be lost when the main queue does not accept it at that moment.
func TestARetryWaitsUntilItsQueueTakesItBack(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	// The broker's retry interval, 3 minutes by default.
	s.control("eval", "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 1000).")
	b := brokerAt(t, s.url)
	full := parley.Queue{Name: "full", Arguments: map[string]any{"x-max-length": 1, "x-overflow": "reject-publish"}}
	declare := func(queues ...parley.Queue) {
		t.Helper()
		if err := b.Declare(t.Context(), parley.Topology{Queues: queues}); err != nil {
			t.Fatal(err)
		}
	}
	retry := func(target string) parley.Queue {
		return parley.Queue{Name: target + ".retry.1s", TTL: time.Second, DeadLetterTo: target, Role: parley.QueueRetry}
	}
	declare(full, retry("full"), retry("deleted"))
	for _, queue := range []string{"full", "full.retry.1s", "deleted.retry.1s"} {
		if errs := b.Publish(t.Context(), []parley.Message{{RoutingKey: queue, ID: "first in " + queue, Body: []byte("{}")}}); errs != nil {
			t.Fatal(errs)
		}
	}
	for _, queue := range []string{"full.retry.1s", "deleted.retry.1s"} {
		eventually(t, "the delay in "+queue+" is over", func() bool {
			n, _, err := b.QueueLen(t.Context(), queue)
			return err == nil && n == 0
		})
	}
	declare(parley.Queue{Name: "deleted"})
	for queue, want := range map[string][]string{"full": {"first in full", "first in full.retry.1s"}, "deleted": {"first in deleted.retry.1s"}} {
		sub, err := b.Subscribe(t.Context(), queue, parley.SubscribeOptions{Prefetch: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range want {
			d, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if d.ID != id {
				t.Errorf("queue %s gets message %q, want %q", queue, d.ID, id)
			}
			if err := d.Settle(parley.SettleAck); err != nil {
				t.Fatal(err)
			}
		}
		if err := sub.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Without the permission to write to the default exchange no message can be retried or parked. Each such copy is refused
// with the reason, and other messages are published.
func TestARetryWithoutTheRightToWriteIsRefusedAlone(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	owner := brokerAt(t, s.url)
	err := owner.Declare(t.Context(), parley.Topology{
		Exchanges: []parley.Exchange{{Name: "user"}}, Queues: []parley.Queue{{Name: "mail"}}, Bindings: []parley.Binding{{Queue: "mail", Exchange: "user"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.control("add_user", "narrow", canary)
	s.control("set_permissions", "-p", "/", "narrow", ".*", "^user$", ".*")
	b := brokerAt(t, strings.Replace(s.url, "//faults:", "//narrow:", 1))
	event := parley.Message{Exchange: "user", RoutingKey: "renamed", Body: []byte("{}")}
	parked := parley.Message{RoutingKey: "mail.parked", Body: []byte("{}")}
	published := 0
	for round := range 3 {
		out := []parley.Message{event, event, parked, event, parked}
		for len(out) > 0 {
			errs := b.Publish(t.Context(), out)
			var again []parley.Message
			for i, m := range out {
				switch {
				case errs != nil && errors.Is(errs[i], parley.ErrUnknown):
					again = append(again, m)
				case m.Exchange == "user" && (errs == nil || errs[i] == nil):
					published++
				case m.Exchange == "" && errs != nil && errors.Is(errs[i], parley.ErrRefused) && strings.Contains(errs[i].Error(), "amq.default"):
				default:
					t.Fatalf("round %d: exchange %q: %v, want it published to exchange user and refused by the default exchange", round, m.Exchange, errs)
				}
			}
			out = again
		}
	}
	if published != 9 {
		t.Errorf("%d events were published, want 9", published)
	}
}

func brokerAt(t *testing.T, url string) *rabbitmq.Broker {
	t.Helper()
	b, err := rabbitmq.New(&rabbitmq.Config{URL: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(t.Context()) }) // the server may have stopped
	return b
}
