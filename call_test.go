package parley_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type quoteRequest struct{ ItemID int }

type quoteReply struct{ Price int }

var quote = parley.NewCall[quoteRequest, quoteReply]("pricing", "quote.v1")

// A callWorld is a caller "shop" and a callee "pricing", each with a store and relay of its own.
type callWorld struct {
	t       *testing.T
	ctx     context.Context
	broker  *memory.Broker
	shop    *memory.Store
	pricing *memory.Store
	out     *parley.Outbox[*memory.Tx]
	answers *parley.Outbox[*memory.Tx] // the callee's
	caller  *parley.Caller

	mu      sync.Mutex // guards the fields below
	replies []parley.Reply[quoteReply]
	expired []int64
	calls   int
}

// callRetention is that of the caller's inbox.
const callRetention = 6 * time.Hour

// inCallWorld runs play with both services up. answer is the callee's handler.
func inCallWorld(t *testing.T, answer func(w *callWorld, c parley.Call[quoteRequest]) (quoteReply, error), play func(w *callWorld)) {
	inCallWorldTx(t, func(w *callWorld, _ *memory.Tx, c parley.Call[quoteRequest]) (quoteReply, error) { return answer(w, c) }, play)
}

// inCallWorldTx is inCallWorld for a handler that writes in its transaction.
func inCallWorldTx(t *testing.T, answer func(w *callWorld, tx *memory.Tx, c parley.Call[quoteRequest]) (quoteReply, error), play func(w *callWorld)) {
	synctest.Test(t, func(t *testing.T) {
		w := &callWorld{t: t, broker: memory.NewBroker(nil), shop: memory.NewStore(), pricing: memory.NewStore()}
		w.out = must(parley.NewOutbox(w.shop, &parley.OutboxConfig{AppID: "shop"}))
		w.answers = must(parley.NewOutbox(w.pricing, &parley.OutboxConfig{AppID: "pricing"}))
		callee := must(parley.NewInbox(w.pricing, &parley.InboxConfig{Consumer: "pricing"}))
		owner := must(parley.NewInbox(w.shop, &parley.InboxConfig{Consumer: "shop", Retention: callRetention}))
		w.caller = must(parley.NewCaller(w.broker, &parley.CallerConfig{Name: "shop.replies.0", Logger: quiet}))

		served, owned := parley.NewRouter(), parley.NewRouter()
		parley.OnCall(served, callee, w.answers, quote, func(_ context.Context, tx *memory.Tx, c parley.Call[quoteRequest]) (quoteReply, error) {
			w.mu.Lock()
			w.calls++
			w.mu.Unlock()
			return answer(w, tx, c)
		})
		parley.OnReplyTx(owned, owner, quote, func(_ context.Context, _ *memory.Tx, r parley.Reply[quoteReply]) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.replies = append(w.replies, r)
			return nil
		})
		parley.OnExpired(owned, owner, quote, func(_ context.Context, _ *memory.Tx, id int64) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.expired = append(w.expired, id)
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		w.ctx = ctx
		var wg sync.WaitGroup
		for _, r := range []parley.Runner{
			must(parley.NewRelay(w.shop, w.broker, &parley.RelayConfig{Logger: quiet})),
			must(parley.NewRelay(w.pricing, w.broker, &parley.RelayConfig{Logger: quiet})),
			must(parley.NewConsumer(w.broker, served, queueConfig("pricing"))),
			must(parley.NewConsumer(w.broker, owned, queueConfig("shop"))),
			w.caller, callee, owner,
		} {
			wg.Go(func() {
				if err := r.Run(ctx); err != nil {
					t.Errorf("run: %v", err)
				}
			})
		}
		synctest.Wait()
		play(w)
		cancel()
		wg.Wait()
	})
}

// queueConfig is a consumer of the queue and exchange called name.
func queueConfig(name string) *parley.ConsumerConfig {
	return &parley.ConsumerConfig{Queue: name, Logger: quiet, Topology: parley.Topology{
		Exchanges: []parley.Exchange{{Name: name}},
		Queues:    []parley.Queue{{Name: name}},
		Bindings:  []parley.Binding{{Queue: name, Exchange: name}},
	}}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (w *callWorld) ask(options ...parley.AskOption) (id int64) {
	w.t.Helper()
	err := w.shop.InTx(w.ctx, func(tx *memory.Tx) (err error) {
		id, err = parley.Ask(w.ctx, w.out.In(tx), quote, quoteRequest{ItemID: 7}, append(options, parley.WithReplyTo("shop"))...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func double(_ *callWorld, c parley.Call[quoteRequest]) (quoteReply, error) {
	return quoteReply{Price: 2 * c.Data.ItemID}, nil
}

func TestAskIsAnsweredThroughBothOutboxes(t *testing.T) {
	inCallWorld(t, double, func(w *callWorld) {
		id := w.ask()
		synctest.Wait()
		if len(w.replies) != 1 {
			t.Fatalf("%d replies, want 1", len(w.replies))
		}
		r := w.replies[0]
		if r.ID != id || r.Data.Price != 14 || r.Service != "pricing" || r.Method != "quote.v1" || r.Err != nil {
			t.Errorf("reply %+v", r)
		}
		if r.Delivery.RoutingKey != "call-response.pricing.quote.v1" || r.Delivery.Exchange != "shop" {
			t.Errorf("reply came from %q with %q", r.Delivery.Exchange, r.Delivery.RoutingKey)
		}
	})
}

func TestARecordOfACallWithAnExpiryNoticeIsRefused(t *testing.T) {
	options := []parley.AskOption{parley.WithReplyTo("shop"), parley.WithExpiresIn(time.Hour)}
	if _, err := quote.Record(quoteRequest{}, options...); err != nil {
		t.Error(err)
	}
	if _, err := quote.Record(quoteRequest{}, append(options, parley.WithExpiryNotice())...); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid: the record has no id yet, so that the notice would be missing", err)
	}
}

// A cancellation of the call would leave its notice.
func TestACancelledCallLeavesNoNotice(t *testing.T) {
	inCallWorld(t, double, func(w *callWorld) {
		tags := parley.Tags{"cart": 1}
		err := w.shop.InTx(w.ctx, func(tx *memory.Tx) error {
			_, err := parley.Ask(w.ctx, w.out.In(tx), quote, quoteRequest{}, parley.WithReplyTo("shop"), parley.WithDueAt(time.Now().Add(time.Hour)),
				parley.WithTags(tags), parley.WithExpiresIn(2*time.Hour), parley.WithExpiryNotice())
			return err
		})
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("a scheduled call with an expiry notice: %v, want ErrInvalid", err)
		}
		err = w.shop.InTx(w.ctx, func(tx *memory.Tx) error {
			_, err := parley.Cancel(w.ctx, w.out.In(tx), quote, tags)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if len(w.expired) != 0 {
			t.Errorf("the calls %v have expired, which were never sent", w.expired)
		}
	})
}
