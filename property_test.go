package parley_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

var due = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// A storm is a random sequence of publications and faults.
type storm []struct {
	what string
	n    int
}

func drawStorm(r *rapid.T, whats ...string) storm {
	steps := make(storm, rapid.IntRange(1, 12).Draw(r, "steps"))
	for i := range steps {
		steps[i].what = rapid.SampledFrom(whats).Draw(r, "what")
		steps[i].n = rapid.IntRange(1, 8).Draw(r, "n")
	}
	return steps
}

func TestRelayLosesAndReordersNothingInAnyStorm(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := drawStorm(r, "publish", "publish", "publish", "lose confirms", "disconnect", "block", "unblock", "wait")
		var problem error
		synctest.Test(t, func(t *testing.T) { problem = relayStorm(t, steps) })
		if problem != nil {
			r.Fatal(problem)
		}
	})
}

func relayStorm(t *testing.T, steps storm) error {
	w := newWorld(t)
	w.batch = 2 // so that the next batch is claimed ahead
	parley.On(w.router, userRenamed, w.record)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	w.run(ctx, &wg)
	var published []int64
	for _, s := range steps {
		switch s.what {
		case "publish":
			for range s.n {
				published = append(published, w.publish(ctx, user{ID: int64(len(published))}))
			}
		case "lose confirms":
			w.broker.LoseConfirms(s.n)
		case "disconnect":
			w.broker.Disconnect()
		case "block":
			w.broker.Block()
		case "unblock":
			w.broker.Unblock()
		case "wait":
			time.Sleep(time.Duration(s.n) * 700 * time.Millisecond)
		}
	}
	w.broker.Unblock()
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	var first []int64
	seen := map[int64]bool{}
	for _, e := range w.received() {
		if !seen[e.ID] {
			first = append(first, e.ID)
		}
		seen[e.ID] = true
	}
	slices.Sort(first) // handlers run concurrently: the broker's log has the order
	if !slices.Equal(first, published) {
		return fmt.Errorf("published %v, received %v", published, first)
	}
	var order []int64
	once := map[string]bool{}
	for _, m := range w.broker.Published() {
		if m.Exchange == "user" && !once[m.ID] {
			var id int64
			if _, err := fmt.Sscanf(string(m.Body), `{"eventId": %d`, &id); err != nil {
				return err
			}
			order = append(order, id)
		}
		once[m.ID] = true
	}
	if !slices.Equal(order, published) {
		return fmt.Errorf("first arrivals out of order: %v", order)
	}
	if left := len(w.store.Pending()); left != 0 {
		return fmt.Errorf("%d records are left", left)
	}
	return nil
}

func TestConsumerHandlesOrParksEveryMessageWhateverItsHandlerDoes(t *testing.T) {
	outcomes := []string{"ok", "ok", "ok", "error", "error", "park", "ignore", "panic", "later"}
	rapid.Check(t, func(r *rapid.T) {
		plan := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom(outcomes), 1, 6), 1, 15).Draw(r, "outcomes of each message")
		disconnects := rapid.IntRange(0, 3).Draw(r, "disconnects")
		ordered := rapid.Bool().Draw(r, "ordered")
		var problem error
		synctest.Test(t, func(t *testing.T) { problem = consumerStorm(t, plan, disconnects, ordered) })
		if problem != nil {
			r.Fatal(problem)
		}
	})
}

func consumerStorm(t *testing.T, plan [][]string, disconnects int, ordered bool) error {
	s := &stage{t: t, broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
	tries, settled := make([]int, len(plan)), make([]bool, len(plan))
	var mu sync.Mutex
	handle := func(_ context.Context, d *parley.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		i := int(d.Body[0])
		outcome := plan[i][min(tries[i], len(plan[i])-1)]
		tries[i]++
		switch outcome {
		case "error":
			return errors.New("no")
		case "park":
			return parley.Park(errors.New("no"))
		case "ignore":
			settled[i] = true
			return parley.Ignore(errors.New("no"))
		case "panic":
			panic("no")
		case "later":
			return parley.RetryAfter(time.Minute, errors.New("no"))
		}
		settled[i] = true
		return nil
	}
	var options []parley.RouteOption
	if ordered {
		options = append(options, parley.Ordered(nil))
	}
	s.router.HandleFunc("user", "k", handle, options...)
	s.begin(&parley.ConsumerConfig{Queue: "q", Topology: topology("q"), Logger: quiet})
	for i := range plan {
		m := parley.Message{Exchange: "user", RoutingKey: "k", ID: fmt.Sprint(i), Body: []byte{byte(i)}}
		m.SetHeader(parley.HeaderKey, fmt.Sprint(i%3))
		s.publish(m)
	}
	for range disconnects {
		s.wait(3 * time.Second)
		s.broker.Disconnect()
	}
	s.wait(12 * time.Hour)
	parked := map[string]bool{}
	for _, d := range s.parked() {
		parked[d.ID] = true
	}
	if err := s.stop(); err != nil {
		return err
	}
	for i := range plan {
		// After a disconnection the ack of a parked or handled message may be lost: the message comes again, and may end the other way.
		both := settled[i] && parked[fmt.Sprint(i)]
		if !settled[i] && !parked[fmt.Sprint(i)] || both && disconnects == 0 {
			return fmt.Errorf("message %d (%v): handled %v, parked %v after %d tries", i, plan[i], settled[i], parked[fmt.Sprint(i)], tries[i])
		}
	}
	if n, _, err := s.broker.QueueLen(t.Context(), "q"); n != 0 || err != nil {
		return fmt.Errorf("%d are left in the queue (%w)", n, err)
	}
	return nil
}
