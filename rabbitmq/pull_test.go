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
	testenv.Long(t, "takes 10 seconds")
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

// pullAll pulls n messages and acks them.
func pullAll(t *testing.T, p parley.Puller, n int, before func()) {
	t.Helper()
	var hand []*parley.Delivery
	for range n {
		d, _, err := p.Next(t.Context())
		if err != nil || d == nil {
			t.Fatal(d, err)
		}
		hand = append(hand, d)
	}
	before()
	for _, d := range hand {
		if err := d.Settle(parley.SettleAck); err != nil {
			t.Fatal(err)
		}
	}
}

// RabbitMQ sends few acks to a quorum queue at once, and drops those that it holds back when the channel closes.
func TestAPullerThatClosesLosesNoAckOfAQuorumQueue(t *testing.T) {
	testenv.Long(t, "takes 7 seconds")
	b, _, _ := open(t, rabbitmq.Config{})
	for _, n := range []int{1, 16, 17, 34, 60, 250} {
		for _, more := range []int{0, 3} {
			t.Run(fmt.Sprintf("%d acks, %d other messages", n, more), func(t *testing.T) {
				queue := quorum(t, b, map[string]any{})
				fill(t, b, queue, more)
				for round := range 10 {
					fill(t, b, queue, n)
					p, err := b.Pull(t.Context(), queue)
					if err != nil {
						t.Fatal(err)
					}
					pullAll(t, p, n, func() {})
					if err := p.Close(); err != nil {
						t.Fatal(err)
					}
					if left := settledLen(t, b, queue, more); left != more {
						t.Fatalf("round %d: %d messages are in the queue, want %d: acked ones have returned", round+1, left, more)
					}
				}
			})
		}
	}
}

// Acks that the broker may not have received are an error: their messages may be handled again.
func TestAPullerReportsThatAcksMayBeLost(t *testing.T) {
	for _, n := range []int{1, 20} {
		proxy, b, _, queue := through(t, rabbitmq.Config{})
		fill(t, b, queue, n)
		p, err := b.Pull(t.Context(), queue)
		if err != nil {
			t.Fatal(err)
		}
		pullAll(t, p, n, proxy.BlackholeToServer)
		proxy.Cut()
		if err := p.Close(); !errors.Is(err, parley.ErrSubscriptionLost) {
			t.Errorf("%d acks: Close returned %v, want ErrSubscriptionLost", n, err)
		}
	}
}

// Two visits replay 60 messages: each of them may reach the main queue once.
func TestAReplayedMessageOfAQuorumQueueIsReplayedOnce(t *testing.T) {
	ctx, b, queue := parkedOn(t, map[string]any{"x-queue-type": "quorum"}, rabbitmq.Config{})
	fill(t, b, parley.ParkedQueue(queue), 60)
	for range 2 {
		err := parley.VisitParked(ctx, b, queue, nil, func(*parley.ParkedMessage) (parley.ParkedAction, error) {
			return parley.ParkedReplay, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := settledLen(t, b, queue, 60); n != 60 {
		t.Errorf("the main queue has %d messages, want 60", n)
	}
}
