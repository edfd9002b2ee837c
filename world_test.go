package parley_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type user struct {
	ID        int64  `json:"id"`
	FirstName string `json:"first_name"`
	Score     float64
}

var userRenamed = parley.NewEvent[user]("user", "update.base")

// A world is a service with everything in one process.
type world struct {
	batch  int // of the relay; 0 is the default
	t      testing.TB
	store  *memory.Store
	broker *memory.Broker
	outbox *parley.Outbox[*memory.Tx]
	router *parley.Router

	mu  sync.Mutex
	got []parley.Event[user]
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, store: memory.NewStore(), broker: memory.NewBroker(nil), router: parley.NewRouter()}
	var err error
	if w.outbox, err = parley.NewOutbox(w.store, &parley.OutboxConfig{AppID: "test"}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) record(_ context.Context, e parley.Event[user]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, e)
	return nil
}

func (w *world) received() []parley.Event[user] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]parley.Event[user](nil), w.got...)
}

func (w *world) publish(ctx context.Context, u user, options ...parley.PublishOption) int64 {
	w.t.Helper()
	var id int64
	err := w.store.InTx(ctx, func(tx *memory.Tx) error {
		var err error
		id, err = parley.Publish(ctx, w.outbox.In(tx), userRenamed, u, options...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func topology(queue string) parley.Topology {
	return parley.Topology{
		Exchanges: []parley.Exchange{{Name: "user"}},
		Queues:    []parley.Queue{{Name: queue}},
		Bindings:  []parley.Binding{{Queue: queue, Exchange: "user"}},
	}
}

// run starts a relay and a consumer in the bubble; they end with ctx.
func (w *world) run(ctx context.Context, wg *sync.WaitGroup) {
	w.t.Helper()
	relay, err := parley.NewRelay(w.store, w.broker, &parley.RelayConfig{BatchSize: w.batch})
	if err != nil {
		w.t.Fatal(err)
	}
	consumer, err := parley.NewConsumer(w.broker, w.router, &parley.ConsumerConfig{Queue: "q", Topology: topology("q")})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.broker.Declare(ctx, topology("q")); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range []parley.Runner{relay, consumer} {
		wg.Go(func() {
			if err := r.Run(ctx); err != nil {
				w.t.Errorf("run: %v", err)
			}
		})
	}
}

// inBubble runs f in virtual time with a running relay and consumer.
func inBubble(t *testing.T, f func(ctx context.Context, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		parley.On(w.router, userRenamed, w.record)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		w.run(ctx, &wg)
		f(ctx, w)
		cancel()
		wg.Wait()
	})
}
