package rabbitmq_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// firsts notes the first handling of each message, by key.
type firsts struct {
	mu   sync.Mutex // guards the fields below
	seen map[string]bool
	keys map[string][]string
}

func (f *firsts) handle(_ context.Context, d *parley.Delivery) error {
	<-time.After(20 * time.Millisecond) // so long that several deliveries of each key are in hand at any time
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[d.ID] {
		return nil
	}
	f.seen[d.ID] = true
	f.keys[d.Key()] = append(f.keys[d.Key()], d.ID)
	return nil
}

func (f *firsts) handled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// reaches polls until n messages were handled.
func (f *firsts) reaches(t *testing.T, n int) {
	t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for f.handled() < n {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d messages were handled within a minute, want %d", f.handled(), n)
		}
	}
}

// The broker learns of the cut only after a while, and meanwhile the new subscription gets later messages of the same keys.
func TestOrderedKeysKeepTheirOrderWhenTheBrokerNoticesALostConnectionLate(t *testing.T) {
	testenv.Long(t, "waits 15 seconds for the broker")
	for _, kind := range []string{"quorum", "classic"} {
		t.Run(kind, func(t *testing.T) {
			var cfg rabbitmq.Config
			p, b, exchange, _ := through(t, cfg)
			queue := testenv.Unique(t, "ordered")
			defer deleteLater(t, queue, parley.ParkedQueue(queue), parley.MembersQueue(queue))
			const keys, each, cuts = 3, 100, 2
			f := &firsts{seen: map[string]bool{}, keys: map[string][]string{}}
			router := parley.NewRouter()
			router.HandleFunc(exchange, "#", f.handle, parley.Ordered(nil))
			topology := parley.Topology{
				Queues:   []parley.Queue{{Name: queue, Arguments: map[string]any{"x-queue-type": kind}}},
				Bindings: []parley.Binding{{Exchange: exchange, Queue: queue, RoutingKey: "#"}},
			}
			c, err := parley.NewConsumer(b, router, &parley.ConsumerConfig{
				Queue: queue, Concurrency: 8, Prefetch: 32, Logger: discard(), Retry: parley.RetryPolicy{Delays: []time.Duration{}},
				Topology: topology,
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Declare(t.Context(), topology); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.Run(ctx) }()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			publisher, _, _ := open(t, rabbitmq.Config{})
			out := make([]parley.Message, keys*each)
			for i := range out {
				out[i] = parley.Message{Exchange: exchange, RoutingKey: "e", ID: fmt.Sprintf("%04d", i), Body: []byte("{}")}
				out[i].SetHeader(parley.HeaderKey, string(rune('a'+i%keys)))
			}
			if errs := publisher.Publish(t.Context(), out); errs != nil {
				t.Fatal(errs)
			}
			for cut := range cuts {
				f.reaches(t, (cut+1)*len(out)/(cuts+2))
				if p.CutClients(2*time.Second) == 0 {
					t.Error("no connection was cut")
				}
			}
			f.reaches(t, len(out))
			for key, ids := range f.keys {
				if !slices.IsSorted(ids) {
					t.Errorf("messages of key %s were handled in the order %s", key, strings.Join(ids, " "))
				}
			}
		})
	}
}
