// Command victim is the service that the fault tests kill, freeze and cut off: handlers, calls and a producer as
// a user writes them on package service. The tests set further options by variables that begin with VICTIM_.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
)

func main() {
	root := command.New("victim", func(s *service.Service) error {
		v, err := newVictim(s)
		if err != nil {
			return err
		}
		v.register()
		return nil
	})
	root.AddCommand(produceCommand(), readCommand(), keepCommand())
	failpoint.Exit(command.Execute(context.Background(), root, os.Args[1:]))
}

// A victim is the service with the options of a test.
type victim struct {
	s *service.Service
	// fail makes the handler fail the first attempt of one event in fail; park makes it park one event in park.
	fail, park int64
	// withoutInbox handles each delivery, including duplicates.
	withoutInbox bool
	// fixed makes the handler succeed for events that request misconduct.
	fixed bool
	// ordered handles the events of one exchange in their order.
	ordered bool
}

func newVictim(s *service.Service) (v *victim, err error) {
	v = &victim{s: s, withoutInbox: os.Getenv("VICTIM_WITHOUT_INBOX") != "", fixed: os.Getenv("VICTIM_FIXED") != "", ordered: os.Getenv("VICTIM_ORDERED") != ""}
	if v.fail, err = number("VICTIM_FAIL"); err == nil {
		v.park, err = number("VICTIM_PARK")
	}
	return v, err
}

func number(variable string) (int64, error) {
	text := os.Getenv(variable)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", variable, err)
	}
	return n, nil
}

// A fact is the payload of all events.
type fact struct {
	Number int64  `json:"number"`
	Fill   string `json:"fill,omitempty"`
}

// contracts are the events of the exchanges that the settings name.
func contracts(s *service.Service) []*parley.EventType[fact] {
	events := make([]*parley.EventType[fact], len(s.Settings.Exchanges))
	for i, e := range s.Settings.Exchanges {
		events[i] = parley.NewEvent[fact](e.Name, "noted")
	}
	return events
}

func (v *victim) register() {
	var options []parley.RouteOption
	if v.ordered {
		options = append(options, parley.Ordered(func(d *parley.Delivery) string { return d.Exchange }))
	}
	for _, event := range contracts(v.s) {
		if v.withoutInbox {
			parley.On(v.s.Router, event, v.effectAlone, options...)
		} else {
			parley.OnTx(v.s.Router, v.s.Inbox, event, v.effect, options...)
		}
	}
	v.registerCalls()
	if os.Getenv("VICTIM_LEAK") != "" {
		go func() { select {} }()
	}
	if text := os.Getenv("VICTIM_SAY"); text != "" {
		v.s.Logger.Info("victim: says", "text", text)
	}
}

var errPlanned = errors.New("planned failure")

// effect writes the effect of an event.
func (v *victim) effect(ctx context.Context, tx *service.Tx, e parley.Event[fact]) error {
	if v.park > 0 && e.Payload.Number%v.park == 0 && e.Delivery.History().Replays == 0 {
		return parley.Park(errPlanned)
	}
	if v.fail > 0 && e.Payload.Number%v.fail == 0 && e.Delivery.Attempt == 1 {
		return errPlanned
	}
	if err := leaveEffect(ctx, tx, e.Payload.Number); err != nil {
		return err
	}
	v.conduct(&e)
	return nil
}

// effectAlone writes the effect for a consumer without an inbox.
func (v *victim) effectAlone(ctx context.Context, e parley.Event[fact]) error {
	return v.s.InTx(ctx, func(tx *service.Tx) error { return v.effect(ctx, tx, e) })
}

func leaveEffect(ctx context.Context, tx *service.Tx, number int64) error {
	return execute(ctx, tx, fmt.Sprintf("INSERT INTO effects (number, process) VALUES (%d, %d)", number, os.Getpid()))
}

// execute runs a statement in the transaction of any database.
func execute(ctx context.Context, tx *service.Tx, statement string) (err error) {
	if tx.Pgx != nil {
		_, err = tx.Pgx.Exec(ctx, statement)
	} else {
		_, err = tx.SQL.ExecContext(ctx, statement)
	}
	return err
}
