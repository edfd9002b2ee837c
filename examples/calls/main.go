// Command calls shows two services and one call between them: service shop asks service
// pricing for quotes. The first call goes through shop's outbox, and its reply goes to a
// handler. The next calls wait for their replies. Everything runs in this process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// QuoteRequest asks for the price of some pieces of an item.
type QuoteRequest struct {
	Item   string `json:"item"`
	Pieces int    `json:"pieces"`
}

// QuoteReply is the price, in cents.
type QuoteReply struct {
	Cents int `json:"cents"`
}

// Quote is the contract that both services share.
var Quote = parley.NewCall[QuoteRequest, QuoteReply]("pricing", "quote")

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "calls:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	broker := memory.NewBroker(nil)
	pricing, err := newPeer(broker, "pricing")
	if err != nil {
		return err
	}
	shop, err := newPeer(broker, "shop")
	if err != nil {
		return err
	}
	caller, err := parley.NewCaller(broker, &parley.CallerConfig{Name: "shop.replies.0"})
	if err != nil {
		return err
	}
	parley.OnCall(pricing.router, pricing.inbox, pricing.outbox, Quote, quote)
	answered := make(chan struct{})
	parley.OnReply(shop.router, Quote, func(_ context.Context, r parley.Reply[QuoteReply]) error {
		fmt.Fprintf(out, "asked:   call %d was answered: %d cents\n", r.ID, r.Data.Cents)
		close(answered)
		return nil
	})
	if err := errors.Join(pricing.declare(ctx), shop.declare(ctx)); err != nil {
		return err
	}
	customer := parley.RunnerFunc(func(ctx context.Context) error {
		return buy(ctx, out, shop, caller, answered) // when it returns, parley.Run stops the other runners
	})
	runners := append(pricing.runners(), shop.runners()...)
	return parley.Run(ctx, append(runners, caller, customer)...)
}

// quote is pricing's handler. What it writes with tx is committed together with the reply.
func quote(_ context.Context, _ *memory.Tx, c parley.Call[QuoteRequest]) (QuoteReply, error) {
	if c.Data.Item != "apple" {
		return QuoteReply{}, parley.Fail("unknown_item", "there is no "+c.Data.Item)
	}
	return QuoteReply{Cents: 30 * c.Data.Pieces}, nil
}

func buy(ctx context.Context, out io.Writer, shop *peer, caller *parley.Caller, answered <-chan struct{}) error {
	err := shop.store.InTx(ctx, func(tx *memory.Tx) error {
		_, err := parley.Ask(ctx, shop.outbox.In(tx), Quote, QuoteRequest{"apple", 3}, parley.WithReplyTo("shop"))
		return err
	})
	if err != nil {
		return err
	}
	select {
	case <-answered:
	case <-ctx.Done():
		return ctx.Err()
	}
	reply, err := parley.Await(ctx, caller, Quote, QuoteRequest{"apple", 5})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "awaited: %d cents\n", reply.Cents)

	_, err = parley.Await(ctx, caller, Quote, QuoteRequest{"pear", 1})
	failure, ok := errors.AsType[*parley.CallError](err)
	if !ok {
		return fmt.Errorf("the call for a pear: %w", err)
	}
	fmt.Fprintf(out, "awaited: pricing says %s: %s\n", failure.Code, failure.Message)
	return nil
}
