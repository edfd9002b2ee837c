package main

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rest"
)

// patience is how long a user may be without a photo until the reminder is sent.
const (
	patience      = time.Minute
	shortPatience = time.Second
)

// users is the service that registers users.
type users[Tx SQL] struct {
	*service[Tx]
	c      *contracts
	events *journal
}

func newUsers[Tx SQL](c *contracts, broker parley.Broker, open func(string) (*database[Tx], error), events *journal) (*users[Tx], error) {
	s, err := newService(c.prefix+"users", broker, open)
	if err != nil {
		return nil, err
	}
	s.exchanges = []string{s.name} // for replies
	s.schema = "CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, photo text)"
	u := &users[Tx]{service: s, c: c, events: events}
	parley.OnReplyTx(s.router, s.inbox, c.Quote, u.onQuote)
	return u, nil
}

// register stores a user, publishes an event, and schedules a reminder, in one transaction.
func (u *users[Tx]) register(ctx context.Context, who User, remindIn time.Duration) error {
	return u.db.inTx(ctx, func(tx Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO users (id, name) VALUES ($1, $2)", who.ID, who.Name); err != nil {
			return err
		}
		if _, err := parley.Publish(ctx, u.outbox.In(tx), u.c.RemindPhoto, who,
			parley.WithDueAt(time.Now().Add(remindIn)), parley.WithTags(parley.Tags{"user_id": who.ID})); err != nil {
			return err
		}
		_, err := parley.Publish(ctx, u.outbox.In(tx), u.c.Registered, who)
		return err
	})
}

// setPhoto stores the photo and cancels the reminder.
func (u *users[Tx]) setPhoto(ctx context.Context, who User, photo string) (cancelled int, err error) {
	err = u.db.inTx(ctx, func(tx Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE users SET photo = $1 WHERE id = $2", photo, who.ID); err != nil {
			return err
		}
		cancelled, err = parley.Cancel(ctx, u.outbox.In(tx), u.c.RemindPhoto, parley.Tags{"user_id": who.ID})
		return err
	})
	return cancelled, err
}

func (u *users[Tx]) onQuote(_ context.Context, _ Tx, r parley.Reply[QuoteReply]) error {
	if r.Err != nil {
		return parley.Park(r.Err)
	}
	u.events.note("pricing answered call: 10 texts cost %d cents", r.Data.Cents)
	return nil
}

// visit is the scenario: two people register, one of them adds a photo, and users asks for
// the price of texts by a call and over REST.
func (u *users[Tx]) visit(ctx context.Context, pricingURL string) error {
	ada, bob := User{1, "Ada", "998990000001"}, User{2, "Bob", "998990000002"}
	if err := u.register(ctx, ada, patience); err != nil {
		return err
	}
	n, err := u.setPhoto(ctx, ada, "ada.jpg")
	if err != nil {
		return err
	}
	u.events.say("Ada has a photo: %d reminder cancelled", n)
	if err := u.register(ctx, bob, shortPatience); err != nil {
		return err
	}
	err = u.db.inTx(ctx, func(tx Tx) error {
		_, err := parley.Ask(ctx, u.outbox.In(tx), u.c.Quote, QuoteRequest{"text", 10}, parley.WithReplyTo(u.name), parley.WithExpiresIn(time.Minute))
		return err
	})
	if err != nil {
		return err
	}
	return u.askAPI(ctx, pricingURL)
}

// askAPI calls pricing's REST API, which requires a login.
func (u *users[Tx]) askAPI(ctx context.Context, pricingURL string) error {
	api, err := rest.New(rest.Config{
		Host: pricingURL, AuthURL: "api/v1/login", Username: "users", Password: apiPassword, CorrelationID: parley.CorrelationID,
	})
	if err != nil {
		return err
	}
	defer api.Close()
	price, err := rest.Get[QuoteReply](ctx, api, rest.Path("api/v1/prices", "text"))
	if err != nil {
		return fmt.Errorf("price of a text: %w", err)
	}
	u.events.say("the REST API says: a text costs %d cents", price.Cents)
	return nil
}
