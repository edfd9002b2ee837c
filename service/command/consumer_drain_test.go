package command

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestAConsumerWithoutItsTableFailsAndNamesTheCommandThatCreatesIt(t *testing.T) {
	name, url := testenv.Unique(t, "parley_start"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	for kind, database := range map[string]string{
		"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "x.db"), "PostgreSQL": testenv.Postgres(t), "MariaDB": servicetest.MySQLURL(t, testenv.MariaDB(t)),
	} {
		t.Run(kind, func(t *testing.T) {
			register := func(s *service.Service) error {
				s.Router.Handle("user", "", parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
				return nil
			}
			code, out, errs := callWith(t, register, strings.NewReader(""), "consumer", "--queue="+name, "--broker-url="+url, "--database-url="+database)
			if code != ExitFailed {
				t.Errorf("exit code %d, want %d\n%s%s", code, ExitFailed, out, errs)
			}
			wantText(t, errs, "parley_failed", "migrate up")
		})
	}
}

func TestDrainHandlesWhatWaitsAndTakesNothingFromTheQueue(t *testing.T) {
	name, url := testenv.Unique(t, "parley_drain"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: name}}})
		if failed := b.Publish(ctx, []parley.Message{{RoutingKey: name, ID: "in the queue", Body: []byte("{}")}}); failed != nil {
			err = errors.Join(err, failed[0])
		}
		return err
	})
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := openFlag(t, flag)
			soon := kept{state: parley.FailureWaiting, after: time.Second}
			keep(t, s, name, kept{state: parley.FailureWaiting}, soon, parkedRow)
			handled := make(chan string, 16)
			register := func(s *service.Service) error {
				s.Router.Handle("user", "", parley.HandlerFunc(func(_ context.Context, d *parley.Delivery) error {
					handled <- d.ID
					return nil
				}))
				return nil
			}
			code, out, errs := callWith(t, register, strings.NewReader(""), "consumer", "--drain", "--queue="+name, "--broker-url="+url, flag)
			if code != ExitOK {
				t.Fatalf("exit code %d\n%s%s", code, out, errs)
			}
			wantText(t, out, "consumer "+name+" drained; left: parked 1")
			close(handled)
			got := []string{}
			for id := range handled {
				got = append(got, id)
			}
			if fmt.Sprint(got) != "[m1 m2]" {
				t.Errorf("handled %v, want m1 and m2", got)
			}
		})
	}
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		n, _, err := b.QueueLen(ctx, name)
		if n != 1 {
			t.Errorf("%d messages are in the queue after the drains, want 1", n)
		}
		return err
	})
}

func TestDrainOfAConsumerWithRetryQueuesIsAnError(t *testing.T) {
	register := func(s *service.Service) error {
		s.Router.Handle("user", "", parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
		return nil
	}
	code, _, errs := callWith(t, register, strings.NewReader(""), "consumer", "--drain", "--queue=q", "--broker-url=amqp://127.0.0.1:1/")
	if code != ExitUsage || !strings.Contains(errs, "consumer.failures.store") {
		t.Errorf("exit code %d, want %d and a hint at the setting:\n%s", code, ExitUsage, errs)
	}
}

func TestADrainSkipsAQueueWithoutAHandlerAndNamesIt(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	register := func(s *service.Service) error {
		s.Queue("orders").Router.Handle("user", "", parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
		return nil
	}
	args := []string{"consumer", "--drain", "--queues=mail,orders", "--broker-url=" + testenv.RabbitMQ(t), flag}
	keep(t, s, "orders", kept{state: parley.FailureWaiting})
	code, out, errs := callWith(t, register, strings.NewReader(""), args...)
	if code != ExitOK {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	wantText(t, out, "consumer orders drained")
	wantText(t, errs, "queue has no handler", "queue=mail")
	keep(t, s, "mail", kept{state: parley.FailureWaiting})
	keep(t, s, "orders", kept{state: parley.FailureWaiting})
	code, out, errs = callWith(t, register, strings.NewReader(""), args...)
	if code != ExitFailed {
		t.Errorf("with a delivery of the skipped queue: exit code %d", code)
	}
	wantText(t, out+errs, "consumer orders drained", `not drained: queue "mail" has no handler, 1 of consumer "mail" waiting`)
}

func TestADrainNamesTheQueueThatIsPausedAndDrainsTheOthers(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	register := func(s *service.Service) error {
		for _, name := range []string{"mail", "orders"} {
			s.Queue(name).Router.Handle("user", "", parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
		}
		return nil
	}
	keep(t, s, "mail", kept{state: parley.FailureWaiting})
	keep(t, s, "orders", kept{state: parley.FailureWaiting})
	mustCall(t, ExitOK, "pause", "consumer", "--queue", "mail", "--for", "1h", flag)
	code, out, errs := callWith(t, register, strings.NewReader(""), "consumer", "--drain", "--queues=mail,orders", "--broker-url="+testenv.RabbitMQ(t), flag)
	if code != ExitFailed {
		t.Errorf("exit code %d", code)
	}
	wantText(t, out+errs, "consumer orders drained", `queue "mail": `, "paused by an operator", "parley resume consumer --queue mail")
}
