package parley_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

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

// lateConfirms is a broker that delivers at once and confirms after a minute, or when the context ends.
type lateConfirms struct{ parley.Broker }

func (b lateConfirms) Publish(ctx context.Context, messages []parley.Message) []error {
	outcomes := b.Broker.Publish(ctx, messages)
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
		return []error{fmt.Errorf("%w: %w", parley.ErrUnknown, ctx.Err())}
	}
	return outcomes
}

// callerOverLateConfirms returns a running caller that publishes to lateConfirms.
func (w *callWorld) callerOverLateConfirms() *parley.Caller {
	caller := must(parley.NewCaller(lateConfirms{w.broker}, &parley.CallerConfig{Name: "shop.replies.1", Logger: quiet}))
	go func() { _ = caller.Run(w.ctx) }() // it returns nil
	return caller
}

func TestAwaitReturnsAReplyThatComesBeforeTheConfirm(t *testing.T) {
	inCallWorld(t, double, func(w *callWorld) {
		caller := w.callerOverLateConfirms()
		start := time.Now()
		reply, err := parley.Await(w.ctx, caller, quote, quoteRequest{ItemID: 4})
		if err != nil || reply.Price != 8 || time.Since(start) > time.Second {
			t.Errorf("got %+v after %v: %v, want the reply before the broker confirms the call", reply, time.Since(start), err)
		}
		time.Sleep(time.Minute) // the confirm is awaited in the background
	})
}

func TestAwaitTellsThatACallMayHaveArrivedWhenItsContextEndsBeforeTheConfirm(t *testing.T) {
	silent := func(*callWorld, parley.Call[quoteRequest]) (quoteReply, error) {
		return quoteReply{}, errors.New("down")
	}
	inCallWorld(t, silent, func(w *callWorld) {
		caller := w.callerOverLateConfirms()
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		defer cancel()
		_, err := parley.Await(ctx, caller, quote, quoteRequest{})
		if !errors.Is(err, parley.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrUnknown and the deadline", err)
		}
	})
}
