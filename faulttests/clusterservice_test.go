//go:build unix

package faulttests_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

// threeQueues is the settings file of a service whose queues have different types, concurrency and retries.
const threeQueues = `
app_id: faults
database: {url: "DATABASE", max_connections: 16}
broker: {urls: ["URLS"], confirm_timeout: 10s}
relay: {poll_interval: 50ms, standby_interval: 50ms}
exchanges: [EXCHANGE]
queues:
  NAME.orders: {binds: [EXCHANGE], type: quorum, concurrency: 4, immediate_retries: [], retry_delays: [1s], arguments: {x-single-active-consumer: true}}
  NAME.mail: {binds: auto, type: quorum, concurrency: 2, immediate_retries: [50ms], retry_delays: []}
  NAME.audit: {binds: [EXCHANGE], type: classic, concurrency: 1, immediate_retries: [], retry_delays: []}
`

// A queueWatch observes the handler of one queue.
type queueWatch struct {
	name  string
	index int // in the column process of the effects
	// every makes the first attempt of one event in every fail.
	every int64

	mu       sync.Mutex // guards the fields below
	running  int
	most     int // handlers at the same time
	failedAt map[int64]time.Time
	soonest  time.Duration // from a failed attempt to the next one
	retries  int
}

// handle is the handler: it writes the effect of the event in this queue.
func (q *queueWatch) handle(ctx context.Context, tx *service.Tx, e parley.Event[fact]) error {
	q.mu.Lock()
	q.running++
	q.most = max(q.most, q.running)
	number := e.Payload.Number
	failed, again := q.failedAt[number]
	if again && q.retries == 0 || again && time.Since(failed) < q.soonest {
		q.soonest = time.Since(failed)
	}
	fail := !again && number%q.every == 0
	if fail {
		q.failedAt[number] = time.Now()
	} else if again {
		q.retries++
	}
	q.mu.Unlock()
	defer func() { q.mu.Lock(); q.running--; q.mu.Unlock() }()
	pass(2 * time.Millisecond)
	if fail {
		return errPlanned
	}
	_, err := tx.Pgx.Exec(ctx, "INSERT INTO effects (number, process) VALUES ($1, $2)", number, q.index)
	return err
}

func TestAServiceOfThreeQueuesFromOneFileOnAClusterKeepsTheirOptionsWhileANodeIsKilled(t *testing.T) {
	needCluster(t)
	c := newCluster(t)
	l := newLabWith(t, testenv.Postgres(t), c.urls(), 1, amqp.Table{"x-queue-type": "quorum"})
	s := l.serviceFromFile(threeQueues)
	queues := []*queueWatch{{name: ".orders", every: 10}, {name: ".mail", every: 10}, {name: ".audit", every: 97}}
	for i, q := range queues {
		q.index, q.failedAt = i, map[int64]time.Time{}
		parley.OnTx(s.Queue(l.queue+q.name).Router, s.Inbox, l.events[0], q.handle)
		t.Cleanup(func() { _ = l.direct().DeleteQueue(context.Background(), l.queue+q.name) })
	}
	// The classic queue is on one node only. The service connects to another one, which is killed.
	if _, err := c.connect(2).QueueDeclare(l.queue+".audit", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	c.only(c.nodes[0])
	stop := start(t, "service", parley.RunnerFunc(func(ctx context.Context) error { return s.Run(ctx, service.PartRelay|service.PartConsumer) }))
	stopLoad := l.load(100) // the queue with one worker keeps up
	watch := stopwatch{t: t}
	watch.until("events have effects in all queues", func() (int, error) { return l.fewestEffects(queues) }, time.Now(), 300)
	c.heal()
	c.nodes[0].signal(syscall.SIGKILL)
	pass(5 * time.Second)
	c.nodes[0].start()
	c.complete()
	was, err := l.fewestEffects(queues)
	if err != nil {
		t.Fatal(err)
	}
	watch.until("events have effects in all queues after the kill", func() (int, error) { return l.fewestEffects(queues) }, time.Now(), was+300)
	stopLoad()
	l.drained()
	parked := l.parkedIn(queues[2])
	// It waits as long as events are handled: a busy machine takes its time.
	for left := math.MaxInt; left > 0; {
		eventually(t, fmt.Sprintf("fewer than %d events are neither handled nor parked in one of the queues", left), func() bool {
			events, err := l.tryCount("ledger")
			least, err2 := l.fewestEffects(queues[:2])
			audited, err3 := l.fewestEffects(queues[2:])
			now := max(events-least, events-audited-parked())
			if errors.Join(err, err2, err3) != nil || now >= left {
				return false
			}
			left = now
			return true
		})
	}
	stop()
	l.judgeQueues(c, queues, parked())
}

// judgeQueues checks that each queue has done what its settings say.
func (l *lab) judgeQueues(c *cluster, queues []*queueWatch, parked int) {
	l.t.Helper()
	for i, want := range []int{4, 2, 1} {
		if queues[i].most != want {
			l.t.Errorf("queue %s handled up to %d events at once, want its concurrency %d", queues[i].name, queues[i].most, want)
		}
	}
	if q := queues[0]; q.retries == 0 || q.soonest < 900*time.Millisecond {
		l.t.Errorf("queue %s retried %d events, the first one after %v, want some after about 1 s", q.name, q.retries, q.soonest)
	}
	if q := queues[1]; q.retries == 0 || q.soonest > 900*time.Millisecond {
		l.t.Errorf("queue %s retried %d events, the first one after %v, want some after about 50 ms", q.name, q.retries, q.soonest)
	}
	if failed := len(queues[2].failedAt); parked != failed || failed == 0 {
		l.t.Errorf("queue %s has no retries and parked %d events, want the %d that failed", queues[2].name, parked, failed)
	}
	for i, want := range []string{"quorum", "quorum", "classic"} {
		if out, err := c.ask(l.queue+queues[i].name, "amqqueue:get_type(Q)"); err != nil || !strings.Contains(out, want) {
			l.t.Errorf("queue %s has the type %s (%v), want %s", queues[i].name, out, err, want)
		}
	}
	if n := l.count("(SELECT 1 FROM effects GROUP BY number, process HAVING count(*) > 1) AS twice"); n > 0 {
		l.t.Errorf("%d events had a second effect in a queue", n)
	}
	e := l.evidence()
	e.arrivals = l.arrivals()
	f := e.inQueue()
	f.check(l.t, 1000)
	outages.add(l.t, outageRow{
		fault: "kill -9 of a node, a service of three queues from one file", servers: c.version(), events: f.events, lost: len(f.lost), repeated: len(f.doubled),
		reordered: len(f.reordered), gap: l.longestGap(),
	})
}

// serviceFromFile opens a service from a settings file with the names of this lab.
func (l *lab) serviceFromFile(text string) *service.Service {
	l.t.Helper()
	names := strings.NewReplacer("DATABASE", l.database, "URLS", strings.ReplaceAll(l.broker, ",", `", "`), "EXCHANGE", l.exchanges[0], "NAME", l.queue)
	file := filepath.Join(l.t.TempDir(), "parley.yaml")
	if err := os.WriteFile(file, []byte(names.Replace(text)), 0o600); err != nil {
		l.t.Fatal(err)
	}
	loaded, err := settings.Load(&settings.LoadOptions{File: file, Environ: []string{}})
	if err != nil {
		l.t.Fatal(err)
	}
	s, err := service.Open(loaded, &service.Config{Logger: quiet})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// fewestEffects returns the number of effects in the queue that has the fewest.
func (l *lab) fewestEffects(queues []*queueWatch) (least int, err error) {
	for i, q := range queues {
		n, err := l.tryCount(fmt.Sprintf("(SELECT DISTINCT number FROM effects WHERE process = %d) AS e", q.index))
		if err != nil {
			return 0, err
		}
		if i == 0 || n < least {
			least = n
		}
	}
	return least, nil
}

// parkedIn returns a function that counts the parked events of a queue.
func (l *lab) parkedIn(q *queueWatch) func() int {
	return func() int {
		stats, err := l.failures().Stats(l.t.Context(), l.queue+q.name)
		if err != nil {
			l.t.Fatal(err)
		}
		return int(stats.Parked)
	}
}
