package parley_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

type sms struct {
	PhoneNumber string
	Text        string
}

var sendSMS = parley.NewCommand[sms]("sms", "")

func TestSendReportsWhetherTheCommandReachedAQueue(t *testing.T) {
	ctx := t.Context()
	b := memory.NewBroker(nil)
	if err := parley.Send(ctx, b, sendSMS, sms{}); !errors.Is(err, parley.ErrUnroutable) {
		t.Errorf("no queue is bound: %v, want ErrUnroutable", err)
	}
	if err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: "q"}}, Bindings: []parley.Binding{{Queue: "q", Exchange: "sms"}}}); err != nil {
		t.Fatal(err)
	}
	if err := parley.Send(ctx, b, sendSMS, sms{"998", "hi"}); err != nil {
		t.Errorf("a queue is bound: %v", err)
	}
	b.RejectNext(1)
	if err := parley.Send(ctx, b, sendSMS, sms{}); !errors.Is(err, parley.ErrRejected) {
		t.Errorf("rejected: %v", err)
	}
	b.LoseConfirms(1)
	if err := parley.Send(ctx, b, sendSMS, sms{}); !errors.Is(err, parley.ErrUnknown) {
		t.Errorf("confirm lost: %v", err)
	}
	m := b.Published()[1]
	if want := `{"phoneNumber":"998","text":"hi", "meta": {}}`; string(m.Body) != want {
		t.Errorf("body %s\nwant %s", m.Body, want)
	}
}

func TestExpiryIsCheckedAndWrittenWithAFraction(t *testing.T) {
	at := time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)
	rec, err := sendSMS.Record(sms{}, parley.WithExpiresAt(at))
	if err != nil || !strings.Contains(string(rec.Body), `"meta": {"expiredTime": "2099-01-02T03:04:05.000Z"}`) {
		t.Errorf("body %s (%v)", rec.Body, err)
	}
	for name, options := range map[string][]parley.SendTxOption{
		"both":     {parley.WithExpiresIn(time.Minute), parley.WithExpiresAt(at)},
		"past":     {parley.WithExpiresAt(time.Now().Add(-time.Second))},
		"negative": {parley.WithExpiresIn(-1)},
	} {
		if _, err := sendSMS.Record(sms{}, options...); !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestExpiredCommandIsNotStarted(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		parley.OnCommand(s.router, sendSMS, func(_ context.Context, c parley.Command[sms]) error {
			s.note(c.Delivery)
			return nil
		})
	}, func(s *stage) {
		m := parleytest.NewCommandMessage(t, sendSMS, sms{Text: "x"}, parley.WithExpiresIn(time.Second))
		late := parleytest.NewCommandMessage(t, sendSMS, sms{Text: "late"}, parley.WithExpiresIn(time.Second))
		if err := s.broker.Declare(s.ctx, parley.Topology{Bindings: []parley.Binding{{Queue: "q", Exchange: "sms"}}, Exchanges: []parley.Exchange{{Name: "sms"}}}); err != nil {
			t.Fatal(err)
		}
		s.publish(m)
		s.wait(2100 * time.Millisecond)
		s.publish(late)
		s.wait(time.Second)
		s.wantOutcomes(parley.OutcomeHandled, parley.OutcomeExpired)
	})
}

func TestArgumentsOfACommandMustBeNamed(t *testing.T) {
	_, list := parley.NewCommand[[]int]("sms", "").Record([]int{1})
	_, meta := parley.NewCommand[map[string]any]("sms", "").Record(map[string]any{"meta": 1})
	for name, err := range map[string]error{"list": list, "meta": meta} {
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

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
	caller  *parley.Caller

	mu      sync.Mutex // guards the fields below
	replies []parley.Reply[quoteReply]
	expired []int64
	calls   int
}

// inCallWorld runs play with both services up. answer is the callee's handler.
func inCallWorld(t *testing.T, answer func(w *callWorld, c parley.Call[quoteRequest]) (quoteReply, error), play func(w *callWorld)) {
	synctest.Test(t, func(t *testing.T) {
		w := &callWorld{t: t, broker: memory.NewBroker(nil), shop: memory.NewStore(), pricing: memory.NewStore()}
		w.out = must(parley.NewOutbox(w.shop, &parley.OutboxConfig{AppID: "shop"}))
		replies := must(parley.NewOutbox(w.pricing, &parley.OutboxConfig{AppID: "pricing"}))
		callee := must(parley.NewInbox(w.pricing, &parley.InboxConfig{Consumer: "pricing"}))
		owner := must(parley.NewInbox(w.shop, &parley.InboxConfig{Consumer: "shop"}))
		w.caller = must(parley.NewCaller(w.broker, &parley.CallerConfig{Name: "shop.replies.0", Logger: quiet}))

		served, owned := parley.NewRouter(), parley.NewRouter()
		parley.OnCall(served, callee, replies, quote, func(_ context.Context, _ *memory.Tx, c parley.Call[quoteRequest]) (quoteReply, error) {
			w.mu.Lock()
			w.calls++
			w.mu.Unlock()
			return answer(w, c)
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

func TestFailureIsAnsweredAndStateRolledBack(t *testing.T) {
	inCallWorld(t, func(*callWorld, parley.Call[quoteRequest]) (quoteReply, error) {
		return quoteReply{}, parley.Fail("unknown_item", "no such item")
	}, func(w *callWorld) {
		w.ask()
		synctest.Wait()
		if len(w.replies) != 1 || w.replies[0].Err == nil || w.replies[0].Err.Code != "unknown_item" {
			t.Errorf("replies %+v, want the failure", w.replies)
		}
	})
}

func TestCallWithoutReplyEndsAsExpiredOnce(t *testing.T) {
	down := true
	inCallWorld(t, func(w *callWorld, c parley.Call[quoteRequest]) (quoteReply, error) {
		if down {
			return quoteReply{}, errors.New("down")
		}
		return double(w, c)
	}, func(w *callWorld) {
		id := w.ask(parley.WithExpiresIn(time.Minute), parley.WithExpiryNotice())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(w.expired) != 1 || w.expired[0] != id {
			t.Errorf("expired %v, want %d", w.expired, id)
		}
		down = false
		w.ask(parley.WithExpiresIn(time.Minute), parley.WithExpiryNotice())
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.expired) != 1 || len(w.replies) != 1 {
			t.Errorf("%d expired and %d replies, want 1 of each", len(w.expired), len(w.replies))
		}
	})
}

func TestAwaitWaitsForItsReply(t *testing.T) {
	inCallWorld(t, double, func(w *callWorld) {
		const calls = 1000
		errs := make(chan error, calls)
		for i := range calls {
			go func() {
				reply, err := parley.Await(w.ctx, w.caller, quote, quoteRequest{ItemID: i})
				if err == nil && reply.Price != 2*i {
					err = fmt.Errorf("got %d for %d", reply.Price, i)
				}
				errs <- err
			}()
		}
		for range calls {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAwaitEndsWithTheCalleesFailureOrItsContext(t *testing.T) {
	inCallWorld(t, func(_ *callWorld, c parley.Call[quoteRequest]) (quoteReply, error) {
		if c.Data.ItemID == 0 {
			return quoteReply{}, errors.New("down")
		}
		return quoteReply{}, parley.Fail("unknown_item", "no such item")
	}, func(w *callWorld) {
		_, err := parley.Await(w.ctx, w.caller, quote, quoteRequest{ItemID: 1})
		if failure, ok := errors.AsType[*parley.CallError](err); !ok || failure.Code != "unknown_item" {
			t.Errorf("got %v, want the callee's failure", err)
		}
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err = parley.Await(ctx, w.caller, quote, quoteRequest{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("got %v after %v, want the deadline after 5s", err, time.Since(start))
		}
		unbound := parley.NewCall[quoteRequest, quoteReply]("unbound", "x")
		if _, err := parley.Await(w.ctx, w.caller, unbound, quoteRequest{}); !errors.Is(err, parley.ErrUnroutable) {
			t.Errorf("no queue is bound for the call: %v, want ErrUnroutable", err)
		}
	})
}

func TestDuplicateCallIsAnsweredOnce(t *testing.T) {
	inCallWorld(t, double, func(w *callWorld) {
		w.broker.LoseConfirms(1)
		w.ask()
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.calls != 1 || len(w.replies) != 1 {
			t.Errorf("handled %d times, %d replies; want one of each", w.calls, len(w.replies))
		}
	})
}

func TestReplyAddressFromTheNetworkIsChecked(t *testing.T) {
	in := must(parley.NewInbox(memory.NewStore(), &parley.InboxConfig{Consumer: "c"}))
	store := memory.NewStore()
	out := must(parley.NewOutbox(store, nil))
	r := parley.NewRouter()
	parley.OnCall(r, in, out, parley.NewCall[json.RawMessage, int]("pricing", "m"), func(context.Context, *memory.Tx, parley.Call[json.RawMessage]) (int, error) {
		t.Error("the handler was called")
		return 0, nil
	}, parley.ReplyExchanges("shop"))
	for _, to := range []string{"", "amq.direct", "other"} {
		body := fmt.Sprintf(`{"id": 1, "data": {}, "meta": {"time": "2023-06-02T10:58:58.340Z", "replyTo": %q}}`, to)
		if err := parleytest.Deliver(t, r, parley.Message{Exchange: "pricing", RoutingKey: "m", Body: []byte(body)}); err == nil {
			t.Errorf("reply to %q is allowed", to)
		}
	}
}

func TestACallHeldBackByUnlessLeavesNoNotice(t *testing.T) {
	inCallWorld(t, double, func(w *callWorld) {
		at := parley.WithDueAt(time.Now().Add(time.Hour))
		options := []parley.AskOption{at, parley.WithTags(parley.Tags{"cart": 1}), parley.WithUnlessTags(parley.Tags{"cart": 1}), parley.WithExpiresIn(2 * time.Hour), parley.WithExpiryNotice()}
		if id := w.ask(options...); id == 0 {
			t.Error("the first call was skipped")
		}
		if id := w.ask(options...); id != 0 {
			t.Errorf("the second call has id %d, want it skipped", id)
		}
		if n := len(w.shop.Pending()); n != 2 {
			t.Errorf("%d records, want the call and its notice", n)
		}
	})
}

func TestIdentityIsTextThatADatabaseTakesWhateverTheMessageID(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"a", "\xff\xfe", "a\x00b", "\xff", `"a"`} {
		identity := parley.Identity(&parley.Message{ID: id})
		if !utf8.ValidString(identity) || strings.ContainsRune(identity, 0) || identity == "" || seen[identity] {
			t.Errorf("message id %q has the identity %q", id, identity)
		}
		seen[identity] = true
	}
}
