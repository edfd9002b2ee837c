package rabbitmq_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/parley-go/parley"
)

func TestAnEarlierRetryQueueIsEmptiedAndReplaced(t *testing.T) {
	for _, n := range []int{0, 1, 450} {
		t.Run(fmt.Sprint(n, " messages"), func(t *testing.T) {
			r := openRoles(t, rabbitURL(t))
			r.declare(t, plain(r.retry), plain(r.parked))
			fill(t, r.Broker, r.retry.Name, n)
			r.declare(t, r.retry, r.parked)
			r.has(t, r.retry.Name, r.safeRetry())
			if got := drain(t, r.Broker, r.target); len(got) != n {
				t.Errorf("%d of %d messages of the retry queue are in the target queue", len(got), n)
			}
			r.quiet(t)
			if problem, err := r.CheckQueue(t.Context(), r.parked); problem != "" || err != nil {
				t.Errorf("the empty parked queue was not replaced: %q, %v", problem, err)
			}
		})
	}
}

func TestManyProcessesReplaceARetryQueueAtOnce(t *testing.T) {
	r := openRoles(t, rabbitURL(t))
	r.declare(t, plain(r.retry))
	const n = 700
	fill(t, r.Broker, r.retry.Name, n)
	var processes sync.WaitGroup
	for range 4 {
		b := newBroker(t, r.url, discard())
		processes.Go(func() {
			if err := b.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{r.retry}}); err != nil {
				t.Error(err)
			}
		})
	}
	processes.Wait()
	r.has(t, r.retry.Name, r.safeRetry())
	if got := drain(t, r.Broker, r.target); len(got) != n {
		t.Errorf("%d of %d messages of the retry queue are in the target queue", len(got), n)
	}
}

// RabbitMQ confirms a message that arrives while its queue is being deleted, and drops it.
func TestNoQueueIsReplacedWhileAConsumerMayPublishToIt(t *testing.T) {
	r := openRoles(t, rabbitURL(t))
	r.declare(t, plain(r.retry), plain(r.parked))
	earlier := newBroker(t, r.url, discard())
	subscribe(t, earlier, r.target, 1)
	const n = 500
	declared := make(chan struct{})
	go func() {
		defer close(declared)
		for range 3 {
			if err := r.Declare(t.Context(), parley.Topology{Queues: []parley.Queue{r.retry, r.parked}}); err != nil {
				t.Error(err)
			}
		}
	}()
	for _, q := range []parley.Queue{r.retry, r.parked} {
		fill(t, earlier, q.Name, n)
	}
	<-declared
	for _, q := range []parley.Queue{r.retry, r.parked} {
		if got := drain(t, r.Broker, q.Name); len(got) != n {
			t.Errorf("%d of %d messages are in %s", len(got), n, q.Name)
		}
		if problem, err := r.CheckQueue(t.Context(), q); err != nil || !strings.Contains(problem, "current is") {
			t.Errorf("CheckQueue of %s: %q, %v, want it unchanged", q.Name, problem, err)
		}
	}
	if text := r.log.String(); strings.Count(text, "level=WARN") != 2 || !strings.Contains(text, "stop all consumers of "+r.target) {
		t.Errorf("the log is %q, want a warning about each queue with a hint", text)
	}
}
