package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
	"github.com/parley-go/parley/service/settings"
)

// Text is the payload of a command for which there is no consumer.
type Text struct {
	Number string `json:"number"`
	Text   string `json:"text"`
}

// SendText is a command whose records the relay parks: no queue is bound for it.
var SendText = parley.NewCommand[Text]("sms", "send")

// Invoiced is an event whose exchange is paused at first, so that its records wait in the outbox.
var Invoiced = parley.NewEvent[User]("invoice", "created")

// invoicePause is how long the exchange of invoices is paused.
const invoicePause = 30 * time.Minute

// Live runs a service on the SQLite file at path with a console at address, until ctx ends. A trickle of events keeps it busy: some fail
// until their body is edited, some are scheduled, some can never be routed.
func Live(ctx context.Context, path, address string, cfg *service.Config) error {
	s, err := service.Open(liveSettings(path, address), cfg)
	if err != nil {
		return err
	}
	parley.OnPattern(s.Router, "user", "#", receiveLive)
	parley.On(s.Router, Invoiced, func(context.Context, parley.Event[User]) error { return nil })
	s.Doctor = command.Examine(s)
	s.Add("trickle", parley.RunnerFunc(func(ctx context.Context) error { return trickle(ctx, s) }))
	err = s.Run(ctx, service.PartRelay|service.PartConsumer)
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

func liveSettings(path, address string) *settings.Settings {
	return &settings.Settings{
		AppID: "demo", Queue: queue,
		Database:  settings.Database{URL: settings.URL("sqlite:" + path), Migrate: true},
		Broker:    settings.Broker{URL: "memory:"},
		Exchanges: []settings.Exchange{{Name: "user"}, {Name: "sms"}, {Name: "invoice"}},
		Binds:     []settings.Bind{{Exchange: "user"}, {Exchange: "invoice"}},
		Consumer:  settings.Consumer{ImmediateRetries: []time.Duration{100 * time.Millisecond}, RetryDelays: []time.Duration{2 * time.Second}},
		Console:   settings.Console{Address: address, Write: true},
		Log:       settings.Log{Level: "warn"},
	}
}

// ErrNoName is the error of events without a name. Edit the body of such a message in the console, and replay it.
var ErrNoName = errors.New("the name is empty")

func receiveLive(_ context.Context, e parley.Event[User]) error {
	switch {
	case e.Payload.Name == "":
		return fmt.Errorf("rename user %d: %w", e.Payload.ID, ErrNoName)
	case e.Payload.ID%40 == 7:
		return fmt.Errorf("rename user %d: dial mail:25: connection refused", e.Payload.ID)
	}
	return nil
}

const (
	beat = 400 * time.Millisecond // between two steps of the trickle
	// first are the steps that follow each other at once, so that every screen has something to show.
	first = 24
)

// trickle publishes until ctx ends.
func trickle(ctx context.Context, s *service.Service) error {
	operator := parley.WithActor(ctx, parley.Actor{Name: "demo", Host: "demo"})
	pause := parley.Pause{Part: parley.PauseRelay, Exchange: "invoice", Reason: "the demo shows a pause"}
	if _, err := s.Database().SetPause(operator, pause, invoicePause); err != nil {
		return err
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for i := int64(1); ; i++ {
		if err := s.InTx(ctx, func(tx *service.Tx) error { return publishLive(ctx, s.Outbox.In(tx), i) }); err != nil && ctx.Err() == nil {
			return err
		}
		if i > first {
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// publishLive records what step i publishes.
func publishLive(ctx context.Context, in *parley.TxOutbox, i int64) error {
	u := User{ID: i, Name: [...]string{"Ada", "Grace", "Barbara", "Radia"}[i%4]}
	var errs []error
	switch {
	case i%12 == 5:
		u.Name = ""
	case i%6 == 3:
		_, err := parley.Publish(ctx, in, Remind, u, parley.WithDueAt(time.Now().Add(time.Duration(1+i%30)*time.Minute)), parley.WithTags(parley.Tags{"user_id": i % 8}))
		errs = append(errs, err)
	case i == 10:
		_, err := parley.SendTx(ctx, in, SendText, Text{"+49 30 123", "hello"})
		errs = append(errs, err)
	}
	if i%10 == 4 {
		_, err := parley.Publish(ctx, in, Invoiced, u)
		errs = append(errs, err)
	}
	_, err := parley.Publish(ctx, in, Renamed, u)
	return errors.Join(append(errs, err)...)
}
