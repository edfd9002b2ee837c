package parley_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

func TestCommittedEventArrivesTyped(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		id := w.publish(ctx, user{ID: 7, FirstName: "Ann", Score: 1.5})
		synctest.Wait()
		got := w.received()
		if len(got) != 1 {
			t.Fatalf("received %d events, want 1", len(got))
		}
		e := got[0]
		if e.ID != id || e.Type != "update.base" || e.Aggregate != "user" || e.Payload != (user{7, "Ann", 1.5}) {
			t.Errorf("received %+v", e)
		}
		want := fmt.Sprintf(`{"eventId": %d, "eventTime": "2000-01-01T00:00:00.000000Z", "eventType": "update.base", "aggregate": "user", "payload": {"id":7,"firstName":"Ann","score":1.5}}`, id)
		if string(e.Delivery.Body) != want {
			t.Errorf("body on the wire\n got %s\nwant %s", e.Delivery.Body, want)
		}
	})
}

func TestRolledBackEventIsNeverSent(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		stop := errors.New("no")
		err := w.store.InTx(ctx, func(tx *memory.Tx) error {
			if _, err := parley.Publish(ctx, w.outbox.In(tx), userRenamed, user{ID: 1}); err != nil {
				t.Fatal(err)
			}
			return stop
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := w.received(); len(got) != 0 {
			t.Errorf("received %d events, want none", len(got))
		}
	})
}

func TestScheduledEventArrivesWhenItIsDue(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		due := time.Now().Add(time.Hour)
		w.publish(ctx, user{ID: 1}, parley.WithDueAt(due))
		time.Sleep(time.Hour - time.Millisecond)
		synctest.Wait()
		if n := len(w.received()); n != 0 {
			t.Fatalf("a millisecond early: received %d events, want none", n)
		}
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
		got := w.received()
		if len(got) != 1 {
			t.Fatalf("when due: received %d events, want 1", len(got))
		}
		if !got[0].Time.Equal(due) {
			t.Errorf("event time %v, want the due time %v", got[0].Time, due)
		}
	})
}

func TestCancelPreventsWhatItCounts(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		at := parley.WithDueAt(time.Now().Add(time.Minute))
		w.publish(ctx, user{ID: 1}, at, parley.WithTags(parley.Tags{"user_id": 1, "kind": "photo"}))
		w.publish(ctx, user{ID: 2}, at, parley.WithTags(parley.Tags{"user_id": true}))
		err := w.store.InTx(ctx, func(tx *memory.Tx) error {
			n, err := parley.Cancel(ctx, w.outbox.In(tx), userRenamed, parley.Tags{"user_id": "1"})
			if n != 1 {
				t.Errorf("cancelled %d, want 1", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.received(); len(got) != 1 || got[0].Payload.ID != 2 {
			t.Errorf("received %+v, want only user 2", got)
		}
	})
}

func TestEmptyTagsAreRefused(t *testing.T) {
	w := newWorld(t)
	tx, _ := w.store.Begin(t.Context())
	if _, err := parley.Cancel(t.Context(), w.outbox.In(tx), userRenamed, parley.Tags{}); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestBadInputIsATypedErrorAndTheTransactionStaysUsable(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	tx, _ := w.store.Begin(ctx)
	in := w.outbox.In(tx)
	text := parley.NewEvent[string]("user", "text")
	raw := parley.NewEvent[json.RawMessage]("user", "raw")
	_, nan := parley.Publish(ctx, in, userRenamed, user{Score: math.NaN()})
	_, nul := parley.Publish(ctx, in, text, "a\x00b")
	_, big := parley.Publish(ctx, in, text, strings.Repeat("x", parley.MaxBody))
	_, bad := parley.Publish(ctx, in, raw, json.RawMessage(`{"a":`))
	_, surrogate := parley.Publish(ctx, in, raw, json.RawMessage(`"\ud800"`))
	_, id := parley.Publish(ctx, in, text, "a", parley.WithMessageID(strings.Repeat("é", 128)))
	_, raw2 := in.Record(ctx, parley.Record{Message: parley.Message{Exchange: "user", Body: []byte("\xff")}})
	_, app := in.Record(ctx, parley.Record{Message: parley.Message{Exchange: "user", AppID: "a\x00b", Body: []byte("{}")}})
	_, late := parley.SendTx(ctx, in, sendSMS, sms{}, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithExpiresIn(time.Minute))
	_, tags := parley.Publish(ctx, in, text, "a", parley.WithTags(parley.Tags{"a": 1}))
	for name, err := range map[string]error{"NaN": nan, "U+0000": nul, "big": big, "bad JSON": bad, "lone surrogate": surrogate, "message id": id, "tags without a time": tags, "raw bytes": raw2, "app id": app, "expires before it is sent": late} {
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if _, err := parley.Publish(ctx, in, userRenamed, user{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil || len(w.store.Pending()) != 1 {
		t.Errorf("commit: %v, %d pending, want 1", err, len(w.store.Pending()))
	}
}

func TestImpossibleContractsPanicAtStart(t *testing.T) {
	for _, names := range [][2]string{{"", "a"}, {"amq.topic", "a"}, {strings.Repeat("x", 256), "a"}, {"a", strings.Repeat("é", 128)}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewEvent(%.20q, %.20q) does not panic", names[0], names[1])
				}
			}()
			parley.NewEvent[user](names[0], names[1])
		}()
	}
}

func TestBrokerOutageLosesNothing(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		synctest.Wait()
		w.broker.Block()
		for i := range 10 {
			w.publish(ctx, user{ID: int64(i)})
		}
		time.Sleep(time.Minute)
		w.broker.Unblock()
		w.broker.Disconnect()
		time.Sleep(time.Minute)
		synctest.Wait()
		got := w.received()
		if len(got) != 10 {
			t.Fatalf("received %d events, want 10", len(got))
		}
	})
}

func TestRejectedRecordsAreRetriedInOrder(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		synctest.Wait()
		w.broker.RejectNext(3)
		for i := range 3 {
			w.publish(ctx, user{ID: int64(i)})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(w.received()); n != 3 {
			t.Errorf("received %d events, want 3", n)
		}
	})
}

func TestLostConfirmRepeatsWithTheSameIdentity(t *testing.T) {
	inBubble(t, func(ctx context.Context, w *world) {
		synctest.Wait()
		w.broker.LoseConfirms(1)
		w.publish(ctx, user{ID: 1})
		time.Sleep(time.Minute)
		synctest.Wait()
		got := w.received()
		if len(got) != 2 {
			t.Fatalf("received %d, want the event twice", len(got))
		}
		if got[0].Delivery.ID != got[1].Delivery.ID || got[0].Delivery.ID == "" || got[0].ID != got[1].ID {
			t.Errorf("identities differ: %q %q", got[0].Delivery.ID, got[1].Delivery.ID)
		}
	})
}

func TestPoisonRecordIsParkedAndOthersAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broker = memory.NewBroker(&memory.BrokerConfig{MaxBody: 400})
		parley.On(w.router, userRenamed, w.record)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		w.run(ctx, &wg)
		w.publish(ctx, user{FirstName: strings.Repeat("x", 500)})
		w.publish(ctx, user{ID: 2})
		time.Sleep(time.Minute)
		synctest.Wait()
		parked, _ := w.store.ListParked(ctx, 0, 10)
		if len(parked) != 1 || !strings.Contains(parked[0].Reason, "limit is 400") {
			t.Errorf("parked %+v, want the big one with its reason", parked)
		}
		if got := w.received(); len(got) != 1 || got[0].Payload.ID != 2 {
			t.Errorf("received %+v, want the other one", got)
		}
		cancel()
		wg.Wait()
	})
}

func TestConsumerWithoutAnyHandlerRefusesToStart(t *testing.T) {
	_, err := parley.NewConsumer(memory.NewBroker(nil), parley.NewRouter(), &parley.ConsumerConfig{Queue: "q"})
	if err == nil || !strings.Contains(err.Error(), "no handler") {
		t.Errorf("got %v, want an error about the missing handler", err)
	}
}

func TestRouterTakesTheMostSpecificRoute(t *testing.T) {
	r := parley.NewRouter()
	var took string
	add := func(exchange, pattern string) {
		name := exchange + "/" + pattern
		r.HandleFunc(exchange, pattern, func(context.Context, *parley.Delivery) error { took = name; return nil })
	}
	for _, p := range []string{"#", "user.*", "user.#", "user.renamed", "*.renamed", "#.last"} {
		add("ex", p)
	}
	add(parley.AnyExchange, "user.renamed")
	r.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error { took = "default"; return nil }))
	for _, c := range [][3]string{
		{"ex", "user.renamed", "ex/user.renamed"},
		{"ex", "user.x", "ex/user.*"},
		{"ex", "user.x.y", "ex/user.#"},
		{"ex", "order.renamed", "ex/*.renamed"},
		{"ex", "a.b.last", "ex/#.last"},
		{"ex", "", "ex/#"},
		{"other", "user.renamed", "*/user.renamed"},
		{"other", "x", "default"},
	} {
		d := parley.NewDelivery(parley.Message{Exchange: c[0], RoutingKey: c[1]}, "q", false, nil)
		if err := r.Dispatch(t.Context(), d); err != nil || took != c[2] {
			t.Errorf("%s %s: took %s (%v), want %s", c[0], c[1], took, err, c[2])
		}
	}
}

func TestSecondHandlerForOneRoutePanicsNamingBothPlaces(t *testing.T) {
	r := parley.NewRouter()
	h := func(context.Context, *parley.Delivery) error { return nil }
	r.HandleFunc("ex", "a.*", h)
	defer func() {
		text := fmt.Sprint(recover())
		if strings.Count(text, "parley_test.go:") != 2 {
			t.Errorf("panic %q does not name both places", text)
		}
	}()
	r.HandleFunc("ex", "a.*", h)
}
