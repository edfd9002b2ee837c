package rabbitmq_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

func TestEachOfManyDeclarationsThatFailIsNamedInOrder(t *testing.T) {
	b, exchange, _ := open(t, rabbitmq.Config{})
	name := func(i int) string { return fmt.Sprintf("%s.%d.", exchange, i) }
	var first, second parley.Topology
	for i := range 40 {
		e := parley.Exchange{Name: name(i)}
		first.Exchanges = append(first.Exchanges, e)
		if i%10 == 3 {
			e.Type = parley.ExchangeFanout
		}
		second.Exchanges = append(second.Exchanges, e)
		t.Cleanup(func() { _ = b.DeleteExchange(context.WithoutCancel(t.Context()), e.Name) })
	}
	if err := b.Declare(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	err := b.Declare(t.Context(), second)
	if err == nil {
		t.Fatal("4 exchanges of another type are accepted")
	}
	rest := err.Error()
	for _, i := range []int{3, 13, 23, 33} {
		_, after, found := strings.Cut(rest, fmt.Sprintf("exchange %q", name(i)))
		if !found {
			t.Fatalf("%s is not named, or not in order: %v", name(i), err)
		}
		rest = after
	}
}

func TestConflictingDeclarationsAreNamed(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	err := b.Declare(t.Context(), parley.Topology{
		Exchanges: []parley.Exchange{{Name: exchange, Type: parley.ExchangeFanout}},
		Queues:    []parley.Queue{{Name: queue, TTL: time.Minute}},
	})
	for _, want := range []string{`exchange "` + exchange, `queue "` + queue} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %s", err, want)
		}
	}
	err = b.Declare(t.Context(), parley.Topology{Mode: parley.TopologyVerify, Queues: []parley.Queue{{Name: queue + "-missing"}}})
	if e, ok := errors.AsType[*parley.TopologyError](err); !ok || e.Code != 404 {
		t.Errorf("verify a missing queue: got %v, want 404", err)
	}
}

// declareAsPython declares with the flags and arguments of django-microservices-communication, in its order.
func declareAsPython(ch *amqp.Channel, queue, exchange, kind string) error {
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{}); err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(exchange, kind, true, false, false, false, amqp.Table{}); err != nil {
		return err
	}
	return ch.QueueBind(queue, "#", exchange, false, amqp.Table{})
}

// Guarantee: a service of parley and one of the Python library start in either order, whichever declares the objects first.
func TestQueuesAndExchangesAreDeclaredAsThePythonLibraryDeclaresThem(t *testing.T) {
	b, _, _ := open(t, rabbitmq.Config{})
	conn, err := amqp.Dial(rabbitURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, kind := range []parley.ExchangeType{"", parley.ExchangeTopic, parley.ExchangeFanout, parley.ExchangeDirect} {
		python := func(name string) error {
			ch, err := conn.Channel() // a conflict closes it
			if err != nil {
				return err
			}
			defer ch.Close()
			return declareAsPython(ch, name, name, cmp.Or(string(kind), "topic"))
		}
		ours := func(name string) error {
			return b.Declare(t.Context(), parley.Topology{
				Exchanges: []parley.Exchange{{Name: name, Type: kind}},
				Queues:    []parley.Queue{{Name: name}},
				Bindings:  []parley.Binding{{Queue: name, Exchange: name}},
			})
		}
		for _, c := range []struct {
			order         string
			first, second func(name string) error
		}{{"Python first", python, ours}, {"parley first", ours, python}} {
			t.Run(fmt.Sprintf("type %q, %s", kind, c.order), func(t *testing.T) {
				name := testenv.Unique(t, "parley")
				t.Cleanup(func() {
					ctx := context.WithoutCancel(t.Context())
					if err := errors.Join(b.DeleteQueue(ctx, name), b.DeleteExchange(ctx, name)); err != nil {
						t.Error(err)
					}
				})
				if err := c.first(name); err != nil {
					t.Fatalf("the first declaration: %v", err)
				}
				if err := c.second(name); err != nil {
					t.Errorf("the second declaration: %v", err)
				}
			})
		}
	}
}
