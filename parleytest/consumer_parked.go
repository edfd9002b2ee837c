package parleytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-go/parley"
)

var parkedQueuePromises = []consumerPromise{
	{"ALookAtParkedMessagesChangesNothing", looksChangeNothing},
	{"LooksAtTheSameTimeLoseNothing", looksAtTheSameTime},
	{"AVisitThatFailsLeavesTheOthersInOrder", visitThatFails},
	{"StrangersMessagesStayAsTheyCame", strangersStayAsTheyCame},
	{"CopiesReachNoQueueOfCC", copiesReachNoQueueOfCC},
	{"CopiesKeepPriorityAndRestoreTheExpiration", copiesKeepPriority},
}

// park publishes n messages with the bodies 0 to n-1, waits until they are parked, and stops the consumer. It does not look at the parked
// queue meanwhile: a look moves its messages behind those that are parked at the same time.
func (c *consumerTest) park(n int) (want []string) {
	c.Helper()
	var handled atomic.Int64
	c.router.HandleFunc(c.ex, "", func(context.Context, *parley.Delivery) error {
		handled.Add(1)
		return parley.Park(errors.New("no"))
	})
	stop := c.start(func(cfg *parley.ConsumerConfig) { cfg.Concurrency = 1 })
	for i := range n {
		c.send("k", fmt.Sprint(i), "")
		want = append(want, fmt.Sprint(i))
	}
	eventually(c.T, "all are handled", func() bool { return handled.Load() == int64(n) })
	stop() // it waits for the last one to be parked
	return want
}

// parkedBodies returns the bodies of the parked messages in their order.
func (c *consumerTest) parkedBodies() (bodies []string) {
	c.Helper()
	for _, m := range c.parked() {
		bodies = append(bodies, string(m.Body))
	}
	return bodies
}

func looksChangeNothing(c *consumerTest) {
	c.park(5)
	first := c.parked()
	for look := range 30 {
		again := c.parked()
		same := slices.EqualFunc(first, again, func(a, b parley.ParkedMessage) bool {
			return a.Signed && b.Signed && a.ID == b.ID && a.ParkedID == b.ParkedID && a.Exchange == b.Exchange && a.RoutingKey == b.RoutingKey &&
				string(a.Body) == string(b.Body) && a.History == b.History
		})
		if !same {
			c.Fatalf("visit %d shows %+v, the first one showed %+v", look+1, again, first)
		}
	}
}

func looksAtTheSameTime(c *consumerTest) {
	want := c.park(40)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				err := parley.VisitParked(c.ctx, c.broker, c.q, nil, func(*parley.ParkedMessage) (parley.ParkedAction, error) { return parley.ParkedKeep, nil })
				if err != nil {
					c.Error(err)
				}
			}
		})
	}
	stop := c.start(func(cfg *parley.ConsumerConfig) { cfg.Concurrency = 1 })
	for i := range 10 {
		c.send("k", fmt.Sprint(100+i), "")
		want = append(want, fmt.Sprint(100+i))
	}
	wg.Wait()
	eventually(c.T, "the new messages are parked", func() bool { return len(c.parked()) >= len(want) })
	stop()
	got := c.parkedBodies()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.Errorf("after concurrent visits %d messages are parked, want %d: %v", len(got), len(want), got)
	}
}

func visitThatFails(c *consumerTest) {
	want := c.park(6)
	failure, visits := errors.New("enough"), 0
	err := parley.VisitParked(c.ctx, c.broker, c.q, nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		if visits++; string(m.Body) == "2" {
			return parley.ParkedDrop, failure
		}
		return parley.ParkedKeep, nil
	})
	if !errors.Is(err, failure) || visits != 3 {
		c.Errorf("the visit ended after %d messages with %v, want 3 and its own error", visits, err)
	}
	if got := c.parkedBodies(); !slices.Equal(got, want) {
		c.Errorf("after a failed visit %v are parked, want %v", got, want)
	}
}

func strangersStayAsTheyCame(c *consumerTest) {
	c.park(1)
	for i := range 2 { // equal ones are two
		m := parley.Message{RoutingKey: parley.ParkedQueue(c.q), AppID: "", ContentType: "text/plain", Body: []byte(fmt.Sprint("stranger ", i/2))}
		m.SetHeader("tenant", "alice")
		c.publish(m)
	}
	for range 3 {
		parked := c.parked()
		if len(parked) != 3 {
			c.Fatalf("%d messages are parked, want 3", len(parked))
		}
		for _, m := range parked[1:] {
			if m.Signed || m.Header("tenant") != "alice" || m.ContentType != "text/plain" || m.AppID != "" || string(m.Body) != "stranger 0" {
				c.Errorf("a message of another publisher is shown as %+v", m)
			}
		}
	}
}

func copiesReachNoQueueOfCC(c *consumerTest) {
	other := c.queue(parley.Queue{})
	c.router.HandleFunc(c.ex, "", func(_ context.Context, d *parley.Delivery) error {
		c.note(fmt.Sprint(d.Headers["parley-cc"]))
		return errors.New("no")
	})
	c.start()
	m := parley.Message{Exchange: c.ex, RoutingKey: "k", ID: "cc", Body: []byte("{}"), Headers: map[string]any{"CC": []any{other, c.q}}}
	c.publish(m)
	copies := len(c.collect(other)) // what the publisher's own CC has reached
	eventually(c.T, "it is parked", func() bool { return len(c.parked()) > 0 })
	for range 3 {
		if n := len(c.parked()); n != 1 {
			c.Fatalf("one message was parked %d times", n)
		}
	}
	if n := len(c.collect(other)); n != 0 {
		c.Errorf("copies reached the queue in CC %d times (%d before)", n, copies)
	}
	if got := c.notes(); len(got) != 2 || !strings.Contains(got[1], other) {
		c.Errorf("handled with parley-cc %q, want two attempts, the second with the queues of CC", got)
	}
}

func copiesKeepPriority(c *consumerTest) {
	broken := true
	c.router.HandleFunc(c.ex, "", func(_ context.Context, d *parley.Delivery) error {
		c.note(fmt.Sprint(d.Priority, d.Expiration))
		if broken {
			return errors.New("no")
		}
		return nil
	})
	stop := c.start()
	m := parley.Message{Exchange: c.ex, RoutingKey: "k", ID: "p", Body: []byte("{}"), Priority: 7, Expiration: time.Hour}
	c.publish(m)
	eventually(c.T, "it is parked", func() bool { return len(c.parked()) == 1 })
	stop()
	if p := c.parked()[0]; p.Priority != 7 || p.Expiration != time.Hour || !p.Signed {
		c.Errorf("parked with priority %d, expiration %v, verified %v", p.Priority, p.Expiration, p.Signed)
	}
	sub := c.subscribe(parley.ParkedQueue(c.q), 1)
	d := c.next(sub)
	if d.Expiration != 0 || d.Priority != 7 {
		c.Errorf("in the parked queue the copy has expiration %v and priority %d, want none and 7", d.Expiration, d.Priority)
	}
	c.settle(d, parley.SettleRequeue)
	c.close(sub)
	broken = false
	if n, err := parley.ReplayParked(c.ctx, c.broker, c.q, nil); n != 1 || err != nil {
		c.Fatalf("replayed %d: %v", n, err)
	}
	sub = c.subscribe(c.q, 1)
	d = c.next(sub)
	if d.Expiration != time.Hour || d.Priority != 7 {
		c.Errorf("replayed with expiration %v and priority %d, want 1h and 7", d.Expiration, d.Priority)
	}
	c.settle(d, parley.SettleRequeue)
	c.close(sub)
	c.start()
	c.eventuallyHandled(3)
	if got := c.notes(); !slices.Equal(got, slices.Repeat([]string{"7 1h0m0s"}, 3)) {
		c.Errorf("handlers saw %q", got)
	}
}
