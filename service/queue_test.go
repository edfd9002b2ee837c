package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/sqlite"
)

// threeQueues returns settings with three queues that all get the events of exchange name.
func threeQueues(name string, broker, database settings.URL) *settings.Settings {
	return &settings.Settings{
		AppID: "test", Exchanges: []settings.Exchange{{Name: name}},
		Queues: []settings.Queue{
			{Name: name + ".orders", Type: "quorum", Binds: []settings.Bind{{Exchange: name}}, Concurrency: 2},
			{Name: name + ".mail", Binds: []settings.Bind{settings.AutoBind}, ImmediateRetries: []time.Duration{}, RetryDelays: []time.Duration{}},
			{Name: name + ".audit", Binds: []settings.Bind{{Exchange: name}}, ImmediateRetries: []time.Duration{time.Millisecond, time.Millisecond}, RetryDelays: []time.Duration{}},
		},
		Broker: settings.Broker{URL: broker}, Database: settings.Database{URL: database, Migrate: true},
	}
}

func TestThreeQueuesHaveRoutersRetriesAndEffectsOfTheirOwn(t *testing.T) {
	name := testenv.Unique(t, "parley_queues")
	for _, servers := range []struct {
		name             string
		broker, database settings.URL
	}{
		{"memory", "memory:", "memory:"},
		{"SQLite", "memory:", settings.URL("sqlite:" + filepath.Join(t.TempDir(), "x.db"))},
		{"RabbitMQ and PostgreSQL", settings.URL(testenv.RabbitMQ(t)), settings.URL(testenv.Postgres(t))},
	} {
		t.Run(servers.name, func(t *testing.T) {
			handleInThreeQueues(t, threeQueues(name, servers.broker, servers.database), name)
		})
	}
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		same := parley.Queue{Name: name + ".orders", Arguments: map[string]any{"x-queue-type": "quorum", "x-queue-leader-locator": "balanced", "x-consumer-disconnected-timeout": int64(10_000)}}
		err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{same, {Name: name + ".mail"}}}) // refused if the arguments differ
		for _, queue := range []string{".orders", ".mail", ".audit"} {
			err = errors.Join(err, b.DeleteQueue(ctx, name+queue))
		}
		return errors.Join(err, b.DeleteExchange(ctx, name))
	})
}

func handleInThreeQueues(t *testing.T, with *settings.Settings, name string) {
	event := parley.NewEvent[user](name, "renamed")
	var mail, audit atomic.Int64
	serve(t, with, 4, func(s *Service, done func()) {
		if s.Router != s.Queue(name+".orders").Router {
			t.Error("Router is not that of the first queue")
		}
		// The same inbox: each queue must have its effect.
		parley.OnTx(s.Queue(name+".orders").Router, s.Inbox, event, func(context.Context, *Tx, parley.Event[user]) error {
			done()
			return nil
		})
		parley.On(s.Queue(name+".mail").Router, event, func(context.Context, parley.Event[user]) error {
			if mail.Add(1) == 1 {
				done()
			}
			return errors.New("no retries")
		})
		parley.OnTx(s.Queue(name+".audit").Router, s.Inbox, event, func(context.Context, *Tx, parley.Event[user]) error {
			if audit.Add(1) == 3 {
				done()
			}
			return errors.New("two retries")
		})
		s.Add("publisher", parley.RunnerFunc(func(ctx context.Context) error {
			servicetest.Await(t, "the tables", func() error { _, err := s.Database().Stats(ctx); return err })
			if err := s.Apply(ctx); err != nil {
				return err
			}
			publish(t, s, event, 1)
			servicetest.Await(t, "three parked or handled messages", func() error {
				var parked int64
				for _, q := range s.Settings.RunQueues() {
					st, err := s.Database().Failures().Stats(ctx, q.ConsumerName)
					if err != nil {
						return err
					}
					parked += st.Parked
				}
				if parked != 2 {
					return errors.New("not parked yet")
				}
				return nil
			})
			done()
			<-ctx.Done()
			return nil
		}))
	})
	if mail.Load() != 1 || audit.Load() != 3 {
		t.Errorf("mail was tried %d times and audit %d times, want 1 and 3", mail.Load(), audit.Load())
	}
}

func TestOnlyTheSelectedQueueRuns(t *testing.T) {
	s, err := settings.Load(&settings.LoadOptions{File: file(t, "broker: {url: 'memory:'}\nexchanges: [x]\nqueues: {orders: {binds: [x]}, mail: {binds: [x]}}\n"), Environ: []string{"PARLEY_QUEUE=mail"}})
	if err != nil {
		t.Fatal(err)
	}
	opened := open(t, s, nil)
	for _, name := range []string{"orders", "mail"} {
		opened.Queue(name).Router.HandleFunc("x", "", func(context.Context, *parley.Delivery) error { return nil })
	}
	if run := opened.Queues(); len(run) != 1 || run[0].Name != "mail" || opened.Router != opened.Queue("orders").Router {
		t.Errorf("%d queues run, want mail alone; Router must stay that of the first queue", len(run))
	}
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, `no queue "sms"`) || !strings.Contains(text, "orders, mail") {
			t.Errorf("panic %q does not name the queues", text)
		}
	}()
	opened.Queue("sms")
}

func TestAQueueWithoutAHandlerIsNotConsumed(t *testing.T) {
	var log syncBuffer
	with := &settings.Settings{Broker: settings.Broker{URL: "memory:"}, Exchanges: []settings.Exchange{{Name: "x"}}, Queues: []settings.Queue{{Name: "a", Binds: []settings.Bind{{Exchange: "x"}}}, {Name: "b"}}}
	s := open(t, with, &Config{LogOutput: &log})
	if all := s.HandledQueues(); len(all) != 2 || log.String() != "" {
		t.Errorf("without any handler: %d queues, want both, and no warning: %s", len(all), &log)
	}
	s.Router.HandleFunc("x", "", func(context.Context, *parley.Delivery) error { return nil })
	consumers, err := s.consumers()
	if err != nil || len(consumers) != 1 || consumers[0].queue != "a" {
		t.Errorf("%d consumers, %v, want that of queue a", len(consumers), err)
	}
	if !strings.Contains(log.String(), "queue has no handler") || !strings.Contains(log.String(), "queue=b") {
		t.Errorf("no warning about queue b: %s", &log)
	}
}

func TestZeroTurnsTheKillSwitchOff(t *testing.T) {
	s, err := settings.Load(&settings.LoadOptions{File: file(t, "broker: {url: 'memory:'}\nqueue: q\nconsumer: {kill_switch: {share: 0, minimum: 1}, immediate_retries: [], retry_delays: []}\n"), Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), servicetest.Patience)
	defer cancel()
	opened, err := Open(s, &Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close(context.Background())
	var handled atomic.Int64
	const all = 20 // 3 failures in a row would trip the switch
	opened.Router.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error {
		if handled.Add(1) == all {
			cancel()
		}
		return parley.Park(errors.New("poison"))
	}))
	if err := opened.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	for range all {
		for _, err := range opened.Broker.Publish(ctx, []parley.Message{{RoutingKey: "q", Body: []byte("{}")}}) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := opened.Run(ctx, PartConsumer); err != nil || handled.Load() != all {
		t.Errorf("%v: %d of %d messages were handled, so consumption was paused", err, handled.Load(), all)
	}
}

// An identity is recorded under the consumer of its queue, so each of them needs its sweep. Consumers of other services may share the
// database, with another retention.
func TestTheInboxIsSweptForEachQueueOfTheServiceAndForNoOther(t *testing.T) {
	with := threeQueues("sweep", "memory:", settings.URL("sqlite:"+filepath.Join(t.TempDir(), "x.db")))
	with.Queues[2].ConsumerName = "auditor"
	with.Inbox = settings.Inbox{SweepInterval: time.Second}
	serve(t, with, 1, func(s *Service, done func()) {
		for _, q := range s.Queues() {
			q.Router.HandleFunc("sweep", "", func(context.Context, *parley.Delivery) error { return nil })
		}
		s.Add("observer", parley.RunnerFunc(func(ctx context.Context) error {
			defer done()
			servicetest.Await(t, "the tables", func() error { _, err := s.Database().Stats(ctx); return err })
			db := s.db.native().(*sqlite.Store).DB()
			_, err := db.ExecContext(ctx, "INSERT INTO parley_inbox (consumer, identity, seen_at) SELECT value, 'id:1', (unixepoch() - 8 * 86400) * 1000000"+
				` FROM json_each('["sweep.orders", "sweep.mail", "auditor", "elsewhere"]')`)
			if err != nil {
				return err
			}
			servicetest.Await(t, "the sweeps of three queues", func() error {
				var left string
				err := db.QueryRowContext(ctx, "SELECT group_concat(consumer) FROM parley_inbox").Scan(&left)
				if err == nil && left != "elsewhere" {
					err = fmt.Errorf("the identities of %s are left, want that of elsewhere only", left)
				}
				return err
			})
			return nil
		}))
	})
}
