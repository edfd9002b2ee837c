package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

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
