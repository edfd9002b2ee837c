package main

import (
	"context"
	"time"

	"github.com/parley-go/parley"
)

// notifications turns the events of users into SMS commands and handles these commands.
type notifications[Tx SQL] struct {
	*service[Tx]
	c      *contracts
	events *journal
}

func newNotifications[Tx SQL](c *contracts, broker parley.Broker, open func(string) (*database[Tx], error), events *journal) (*notifications[Tx], error) {
	s, err := newService(c.prefix+"notifications", broker, open)
	if err != nil {
		return nil, err
	}
	s.exchanges = []string{c.Registered.Exchange(), c.SendSMS.Exchange()}
	n := &notifications[Tx]{service: s, c: c, events: events}
	parley.OnTx(s.router, s.inbox, c.Registered, n.texting("Welcome"))
	parley.OnTx(s.router, s.inbox, c.RemindPhoto, n.texting("Please add a photo"))
	parley.OnCommand(s.router, c.SendSMS, n.send)
	return n, nil
}

// texting returns a handler that sends a command once for each event, however often the event
// is delivered. The command expires, because a late text is worse than none.
func (n *notifications[Tx]) texting(text string) func(context.Context, Tx, parley.Event[User]) error {
	return func(ctx context.Context, tx Tx, e parley.Event[User]) error {
		_, err := parley.SendTx(ctx, n.outbox.In(tx), n.c.SendSMS, SMS{e.Payload.Name, text}, parley.WithExpiresIn(time.Minute))
		return err
	}
}

// send takes the place of an SMS gateway.
func (n *notifications[Tx]) send(_ context.Context, c parley.Command[SMS]) error {
	n.events.note("sms to %s: %s", c.Args.Name, c.Args.Text)
	return nil
}
