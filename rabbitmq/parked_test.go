package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// parkedOn returns a queue with a parked queue of the given arguments, and a broker.
func parkedOn(t *testing.T, arguments map[string]any, cfg rabbitmq.Config) (ctx context.Context, b *rabbitmq.Broker, queue string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	cfg.URL = testenv.RabbitMQ(t)
	b, err := rabbitmq.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	queue = testenv.Unique(t, "parked")
	if err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: queue}, {Name: parley.ParkedQueue(queue), Arguments: arguments}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		last, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, q := range []string{queue, parley.ParkedQueue(queue)} {
			if err := b.DeleteQueue(last, q); err != nil {
				t.Error(err)
			}
		}
		if err := b.Close(last); err != nil {
			t.Error(err)
		}
	})
	return ctx, b, queue
}

func lookAt(ctx context.Context, t *testing.T, b *rabbitmq.Broker, queue string) (ids []string) {
	t.Helper()
	err := parley.VisitParked(ctx, b, queue, nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		ids = append(ids, m.ID)
		return parley.ParkedKeep, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestAThousandVisitsLoseNoMessageOfAQuorumQueue(t *testing.T) {
	ctx, b, queue := parkedOn(t, map[string]any{"x-queue-type": "quorum", "x-delivery-limit": int64(3)}, rabbitmq.Config{})
	want := []string{"0", "1", "2"}
	for _, id := range want {
		if errs := b.Publish(ctx, []parley.Message{{RoutingKey: parley.ParkedQueue(queue), ID: id, Body: []byte("{}")}}); errs != nil {
			t.Fatal(errs)
		}
	}
	looks := 1000
	if testing.Short() {
		looks = 20
	}
	for n := range looks {
		if got := lookAt(ctx, t, b, queue); !slices.Equal(got, want) {
			t.Fatalf("look %d shows %q, want %q", n+1, got, want)
		}
	}
}

func TestMessagesThatAVisitDropsOrReplaysLeaveAQuorumQueue(t *testing.T) {
	ctx, b, queue := parkedOn(t, map[string]any{"x-queue-type": "quorum"}, rabbitmq.Config{})
	for round := range 20 {
		messages := make([]parley.Message, 150)
		for i := range messages {
			messages[i] = parley.Message{RoutingKey: parley.ParkedQueue(queue), ID: fmt.Sprint(i), Body: []byte("{}")}
		}
		if errs := b.Publish(ctx, messages); errs != nil {
			t.Fatal(errs)
		}
		visited := 0
		err := parley.VisitParked(ctx, b, queue, nil, func(*parley.ParkedMessage) (parley.ParkedAction, error) {
			visited++
			return []parley.ParkedAction{parley.ParkedDrop, parley.ParkedReplay}[visited%2], nil
		})
		if err != nil || visited != 150 {
			t.Fatalf("visited %d messages: %v", visited, err)
		}
		if left := lookAt(ctx, t, b, queue); len(left) != 0 {
			t.Fatalf("round %d: %d messages are still parked", round+1, len(left))
		}
	}
}

// A message of a Python service without APP_ID, or of a client other than parley.
func TestAMessageWithoutAnAppIDIsRetriedAndReplayedAsItIs(t *testing.T) {
	ctx, b, queue := parkedOn(t, nil, rabbitmq.Config{AppID: "shop"})
	plain, err := rabbitmq.New(&rabbitmq.Config{URL: testenv.RabbitMQ(t)}) // adds no app id
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close(context.WithoutCancel(ctx))
	handled := make(chan string, 10)
	r := parley.NewRouter()
	r.HandleFunc(parley.AnyExchange, "", func(_ context.Context, d *parley.Delivery) error {
		handled <- fmt.Sprintf("attempt %d, app id %q", d.Attempt, d.AppID)
		return errors.New("no")
	})
	c, err := parley.NewConsumer(b, r, &parley.ConsumerConfig{
		Queue: queue, Retry: parley.RetryPolicy{Immediate: []time.Duration{}, Delays: []time.Duration{time.Second}},
	})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.Run(run) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := b.DeleteQueue(ctx, queue+".retry.1s"); err != nil {
			t.Error(err)
		}
	}()
	if errs := plain.Publish(ctx, []parley.Message{{RoutingKey: queue, ID: "one", Body: []byte("{}")}}); errs != nil {
		t.Fatal(errs)
	}
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-handled:
				if got != w {
					t.Errorf("handled with %s, want %s", got, w)
				}
			case <-time.After(time.Minute):
				t.Fatalf("not handled with %s", w)
			}
		}
	}
	expect(`attempt 1, app id ""`, `attempt 2, app id ""`)
	for range 2 { // the second visit reads a copy that the connection has published again
		for deadline := time.Now().Add(time.Minute); ; {
			var parked []parley.ParkedMessage
			err := parley.VisitParked(ctx, b, queue, nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
				parked = append(parked, *m)
				return parley.ParkedKeep, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(parked) == 1 {
				if !parked[0].Signed || parked[0].AppID != "" || parked[0].History.Reason != "no" {
					t.Errorf("parked as %+v, want its history verified and no app id", parked[0])
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the message is not parked")
			}
		}
	}
	if n, err := parley.ReplayParked(ctx, b, queue, nil); n != 1 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	expect(`attempt 3, app id ""`, `attempt 4, app id ""`)
}
