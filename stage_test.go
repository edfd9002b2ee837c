package parley_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A stage is a broker with one queue, "q", and a consumer of it, in virtual time.
type stage struct {
	t        *testing.T
	ctx      context.Context
	broker   *memory.Broker
	router   *parley.Router
	consumer *parley.Consumer
	start    time.Time
	stop     func() error

	mu      sync.Mutex // guards the fields below
	reports []parley.ConsumerReport
	handled []string // "<time since start> <body>", as note writes them
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// onStage runs play in a bubble. routes registers the handlers; cfg may be nil.
func onStage(t *testing.T, cfg *parley.ConsumerConfig, routes func(s *stage), play func(s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, broker: memory.NewBroker(nil), router: parley.NewRouter(), start: time.Now()}
		routes(s)
		if cfg == nil {
			cfg = &parley.ConsumerConfig{}
		}
		cfg.Queue, cfg.Topology = "q", topology("q")
		if cfg.Logger == nil {
			cfg.Logger = quiet
		}
		cfg.Hooks.Done = func(r parley.ConsumerReport) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.reports = append(s.reports, r)
		}
		s.begin(cfg)
		play(s)
		if err := s.stop(); err != nil {
			t.Errorf("consumer: %v", err)
		}
	})
}

func (s *stage) begin(cfg *parley.ConsumerConfig) {
	s.t.Helper()
	var err error
	if s.consumer, err = parley.NewConsumer(s.broker, s.router, cfg); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	s.ctx = ctx
	done := make(chan error, 1)
	go func() { done <- s.consumer.Run(ctx) }()
	s.stop = func() error { cancel(); return <-done }
	synctest.Wait()
}

// note records that a delivery was handled.
func (s *stage) note(d *parley.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled = append(s.handled, fmt.Sprintf("%v %s", time.Since(s.start), d.Body))
}

func (s *stage) notes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.handled)
}

// publish sends messages to exchange "user".
func (s *stage) publish(messages ...parley.Message) {
	s.t.Helper()
	for i := range messages {
		if messages[i].Exchange == "" && messages[i].RoutingKey == "" {
			messages[i].Exchange, messages[i].RoutingKey = "user", "k"
		}
	}
	if errs := s.broker.Publish(s.ctx, messages); errs != nil {
		s.t.Fatalf("publish: %v", errs)
	}
}

// wait lets virtual time pass.
func (s *stage) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *stage) outcomes() []parley.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]parley.Outcome, len(s.reports))
	for i, r := range s.reports {
		out[i] = r.Outcome
	}
	return out
}

func (s *stage) wantOutcomes(want ...parley.Outcome) {
	s.t.Helper()
	if got := s.outcomes(); !slices.Equal(got, want) {
		s.t.Errorf("outcomes %v, want %v", got, want)
	}
}

// parked takes all messages out of the parked queue.
func (s *stage) parked() []*parley.Delivery {
	s.t.Helper()
	sub, err := s.broker.Subscribe(s.ctx, parley.ParkedQueue("q"), parley.SubscribeOptions{Prefetch: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	defer sub.Close()
	var out []*parley.Delivery
	for {
		ctx, cancel := context.WithTimeout(s.ctx, time.Second)
		d, err := sub.Next(ctx)
		cancel()
		if err != nil {
			return out
		}
		out = append(out, d)
	}
}

func text(body string) parley.Message {
	return parley.Message{ID: "id-" + body[:min(len(body), 20)], Body: []byte(body)}
}

func keyed(key, body string) parley.Message {
	m := text(body)
	m.SetHeader(parley.HeaderKey, key)
	return m
}
