package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	amqp "github.com/rabbitmq/amqp091-go"
)

// rabbit4 returns the URL of a RabbitMQ 4.0 or later.
func rabbit4(t *testing.T) string {
	t.Helper()
	const variable = "PARLEY_TEST_RABBITMQ4_URL"
	url := os.Getenv(variable)
	if url == "" {
		testenv.SkipOptional(t, variable, "amqp://user:password@host:port/")
	}
	return url
}

// roles are the queues of a consumer without a database.
type roles struct {
	*rabbitmq.Broker
	url    string
	log    *bytes.Buffer
	target string
	retry  parley.Queue
	parked parley.Queue
}

func openRoles(t *testing.T, url string) *roles {
	t.Helper()
	r := &roles{url: url, log: &bytes.Buffer{}}
	var mu sync.Mutex
	r.Broker = newBroker(t, url, slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return r.log.Write(p)
	}), nil)))
	r.target = testenv.Unique(t, "roles")
	r.retry = parley.Queue{Name: r.target + ".retry.1h", TTL: time.Hour, DeadLetterTo: r.target, Role: parley.QueueRetry}
	r.parked = parley.Queue{Name: r.target + ".parked", Role: parley.QueueParked}
	t.Cleanup(func() {
		clean := newBroker(t, url, discard())
		for _, queue := range []string{r.target, r.retry.Name, r.parked.Name} {
			if err := clean.DeleteQueue(context.Background(), queue); err != nil {
				t.Error(err)
			}
		}
	})
	r.declare(t, parley.Queue{Name: r.target})
	return r
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func newBroker(t *testing.T, url string, logger *slog.Logger) *rabbitmq.Broker {
	t.Helper()
	b, err := rabbitmq.New(&rabbitmq.Config{URL: url, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (r *roles) declare(t *testing.T, queues ...parley.Queue) {
	t.Helper()
	if err := r.Declare(t.Context(), parley.Topology{Queues: queues}); err != nil {
		t.Fatal(err)
	}
}

// plain returns q with the arguments of earlier versions.
func plain(q parley.Queue) parley.Queue {
	q.Role = parley.QueuePlain
	q.Arguments = map[string]any{"x-queue-type": "classic"} // the default type of the virtual host may be another one
	return q
}

// has reports an error unless the queue exists with exactly these arguments.
func (r *roles) has(t *testing.T, queue string, arguments amqp.Table) {
	t.Helper()
	conn, err := amqp.Dial(r.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare(queue, true, false, false, false, arguments)
	}
	if err != nil {
		t.Errorf("queue %s does not have the arguments %v: %v", queue, arguments, err)
	}
}

func (r *roles) safeRetry() amqp.Table {
	return amqp.Table{
		"x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once", "x-queue-leader-locator": "balanced", "x-overflow": "reject-publish", "x-message-ttl": int64(3_600_000),
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": r.target,
	}
}

// quiet reports warnings.
func (r *roles) quiet(t *testing.T) {
	t.Helper()
	if r.log.Len() > 0 {
		t.Errorf("unexpected warning: %s", r.log)
	}
}

// warned requires one warning that names the queue, and the same result from CheckQueue.
func (r *roles) warned(t *testing.T, q parley.Queue, reason string) {
	t.Helper()
	if n := strings.Count(r.log.String(), q.Name); strings.Count(r.log.String(), "level=WARN") != 1 || n == 0 || !strings.Contains(r.log.String(), reason) {
		t.Errorf("the log is %q, want one warning about queue %s with %s", r.log, q.Name, reason)
	}
	if problem, err := r.CheckQueue(t.Context(), q); err != nil || !strings.Contains(problem, reason) {
		t.Errorf("CheckQueue returns %q (%v), want %s", problem, err, reason)
	}
}

// The effect of these arguments can only be tested on a broker that the test stops: see faulttests.
func TestARetryQueueIsDeclaredSafe(t *testing.T) {
	r := openRoles(t, rabbitURL(t))
	for range 2 {
		r.declare(t, r.retry, r.parked)
	}
	r.has(t, r.retry.Name, r.safeRetry())
	r.quiet(t)
	for _, q := range []parley.Queue{r.retry, r.parked} {
		if problem, err := r.CheckQueue(t.Context(), q); problem != "" || err != nil {
			t.Errorf("CheckQueue of %s: %q, %v", q.Name, problem, err)
		}
	}
}

// Brokers before 4.3 do not compare x-consumer-disconnected-timeout.
func TestAQueueThatWasCreatedWithoutOptionalArgumentsIsNoConflict(t *testing.T) {
	urls := []string{rabbitURL(t)}
	if url := os.Getenv("PARLEY_TEST_RABBITMQ4_URL"); url != "" {
		urls = append(urls, url)
	}
	for _, url := range urls {
		r := openRoles(t, url)
		queue := func(more map[string]any) parley.Queue {
			args := map[string]any{"x-queue-type": "quorum"}
			maps.Copy(args, more)
			return parley.Queue{Name: r.target + ".quorum", Arguments: args}
		}
		t.Cleanup(func() { _ = r.DeleteQueue(context.Background(), queue(nil).Name) })
		r.declare(t, queue(nil))
		both := map[string]any{"x-queue-leader-locator": "balanced", "x-consumer-disconnected-timeout": int64(10_000)}
		r.declare(t, queue(both))
		both["x-max-length"] = int64(5)
		if err := r.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{queue(both)}}); err == nil || !strings.Contains(err.Error(), "x-max-length") {
			t.Errorf("another argument: %v, want a conflict about x-max-length", err)
		}
		if err := r.DeleteQueue(t.Context(), queue(nil).Name); err != nil {
			t.Error(err)
		}
		r.declare(t, queue(map[string]any{"x-queue-leader-locator": "client-local"}))
		if err := r.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{queue(map[string]any{"x-queue-leader-locator": "balanced"})}}); err == nil {
			t.Error("another value of an optional argument is no conflict")
		}
		r.quiet(t)
	}
}

func TestArgumentsOfTheUserWin(t *testing.T) {
	r := openRoles(t, rabbitURL(t))
	r.retry.Arguments = map[string]any{"x-queue-type": "classic"}
	r.parked.Arguments = map[string]any{"x-queue-type": "quorum", "x-delivery-limit": int64(7)}
	r.declare(t, r.retry, r.parked)
	r.has(t, r.retry.Name, amqp.Table{"x-queue-type": "classic", "x-message-ttl": int64(3_600_000), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": r.target})
	r.has(t, r.parked.Name, amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int64(7), "x-queue-leader-locator": "balanced"})
	r.quiet(t)
}

// Priorities, for example, need classic queues in RabbitMQ before 4.3.
func TestAConsumerStartsWithArgumentsThatNoQuorumQueueHas(t *testing.T) {
	r := openRoles(t, rabbitURL(t))
	r.parked.Arguments = map[string]any{"x-queue-mode": "lazy"}
	r.declare(t, r.parked)
	fill(t, r.Broker, r.parked.Name, 1)
}

func TestAnEarlierParkedQueueWithMessagesIsUsedAsItIs(t *testing.T) {
	r := openRoles(t, rabbitURL(t))
	r.declare(t, plain(r.parked))
	fill(t, r.Broker, r.parked.Name, 3)
	for range 3 {
		r.declare(t, r.parked)
	}
	r.warned(t, r.parked, "current is")
	if n := settledLen(t, r.Broker, r.parked.Name, 3); n != 3 {
		t.Errorf("%d of 3 parked messages are in the queue", n)
	}
}

func TestARetryQueueWithOtherArgumentsIsUsedUnchanged(t *testing.T) {
	for name, made := range map[string]func(q *parley.Queue){
		"a limit":     func(q *parley.Queue) { q.Arguments = map[string]any{"x-max-length": 100} },
		"quorum":      func(q *parley.Queue) { q.Arguments = map[string]any{"x-queue-type": "quorum"} },
		"another TTL": func(q *parley.Queue) { q.TTL = time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			r := openRoles(t, rabbitURL(t))
			before := plain(r.retry)
			made(&before)
			r.declare(t, before)
			fill(t, r.Broker, before.Name, 2)
			r.declare(t, r.retry)
			r.declare(t, r.retry)
			r.warned(t, r.retry, "inequivalent arg")
			r.declare(t, before) // it is unchanged
			if n := settledLen(t, r.Broker, before.Name, 2); n != 2 {
				t.Errorf("%d of 2 messages are in the queue", n)
			}
		})
	}
}

func TestAQueueThatIsNotDurableIsUsedAsItIs(t *testing.T) {
	r := openRoles(t, rabbitURL(t))
	conn, err := amqp.Dial(r.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare(r.parked.Name, false, false, false, false, nil)
	}
	if err != nil {
		testenv.Skip(t, testenv.RabbitMQServer.Variable, fmt.Sprintf("needs a broker with transient queues, which RabbitMQ 4.3 has not: %v", err))
	}
	r.declare(t, r.parked)
	r.warned(t, r.parked, "durable")
}

func TestCheckQueueMakesNoQueue(t *testing.T) {
	r := openRoles(t, rabbitURL(t))
	for range 2 {
		_, err := r.CheckQueue(t.Context(), r.retry)
		if e, ok := errors.AsType[*parley.TopologyError](err); !ok || e.Code != 404 {
			t.Errorf("a queue that does not exist: %v, want code 404", err)
		}
	}
}

func TestAParkedQueueHasNoDeliveryLimit(t *testing.T) {
	r := openRoles(t, rabbit4(t))
	r.declare(t, r.parked)
	r.has(t, r.parked.Name, amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int64(-1), "x-queue-leader-locator": "balanced"})
	fill(t, r.Broker, r.parked.Name, 1)
	for range 30 { // the default limit is 20
		s, err := r.Subscribe(t.Context(), r.parked.Name, parley.SubscribeOptions{Prefetch: 1})
		if err != nil {
			t.Fatal(err)
		}
		next(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := settledLen(t, r.Broker, r.parked.Name, 1); n != 1 {
		t.Error("the broker has dropped a parked message after 30 returns")
	}
}
