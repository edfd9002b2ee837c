package rabbitmq_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// publishBatches publishes each message once, in batches, and returns the ids that were confirmed and those whose outcome is unknown.
func publishBatches(t *testing.T, b *rabbitmq.Broker, exchange string, batches, size int) (sure, unsure map[string]bool) {
	t.Helper()
	sure, unsure = map[string]bool{}, map[string]bool{}
	for n := range batches {
		out := messages(exchange, size)
		for i := range out {
			out[i].ID = fmt.Sprintf("%d-%d", n, i)
		}
		outcomes := b.Publish(t.Context(), out)
		if outcomes != nil && len(outcomes) != len(out) {
			t.Fatalf("%d outcomes for %d messages", len(outcomes), len(out))
		}
		for i := range out {
			switch {
			case outcomes == nil || outcomes[i] == nil:
				sure[out[i].ID] = true
			case errors.Is(outcomes[i], parley.ErrUnknown):
				unsure[out[i].ID] = true
			default:
				t.Errorf("message %s: %v, want nil or ErrUnknown", out[i].ID, outcomes[i])
			}
		}
	}
	return sure, unsure
}

func TestACutInTheMiddleOfAWindowLosesNoConfirmedMessage(t *testing.T) {
	testenv.Long(t, "takes 10 seconds")
	var cfg rabbitmq.Config
	cfg.Window = 100
	p, direct, exchange, queue := behindProxy(t, &cfg)
	b, err := rabbitmq.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	const rounds = 12
	sure, unsure := map[string]bool{}, map[string]bool{}
	for round := range rounds {
		p.CutAfter(int64(2000 + 1777*round))
		s, u := publishBatches(t, b, exchange, 1, 300)
		for id := range s {
			sure[fmt.Sprint(round, "/", id)] = true
		}
		for id := range u {
			unsure[fmt.Sprint(round, "/", id)] = true
		}
		for id := range drain(t, direct, queue) {
			delete(sure, fmt.Sprint(round, "/", id))
		}
		if len(sure) > 0 {
			t.Fatalf("round %d: confirmed, but not in the queue: %v", round, sure)
		}
	}
	if p.Count(faultproxy.Cuts) < rounds || len(unsure) == 0 {
		t.Errorf("%d cuts and %d unknown outcomes: the fault had no effect", p.Count(faultproxy.Cuts), len(unsure))
	}
	p.Heal()
	if outcomes := b.Publish(t.Context(), messages(exchange, 10)); outcomes != nil {
		t.Errorf("after the cuts: %v", errors.Join(outcomes...))
	}
}

func TestMessagesBehindALostOneAreNotSent(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{Window: 50})
	direct, _, _ := open(t, rabbitmq.Config{})
	p.CutAfter(20_000)
	out := messages(exchange, 500)
	outcomes := b.Publish(t.Context(), out)
	if outcomes == nil {
		t.Fatal("the cut had no effect")
	}
	lost := 0
	for lost < len(outcomes) && outcomes[lost] == nil {
		lost++
	}
	for i := lost; i < len(outcomes); i++ {
		if !errors.Is(outcomes[i], parley.ErrUnknown) {
			t.Fatalf("message %d was lost, but message %d has the outcome %v", lost, i, outcomes[i])
		}
	}
	highest := 0
	got := drain(t, direct, queue)
	for i := range out {
		if got[out[i].ID] > 0 {
			highest = i
		}
	}
	if len(got) != highest+1 {
		t.Errorf("%d messages arrived, the last one is number %d: messages before it are missing", len(got), highest)
	}
}

func TestACutInABodyIsAnUnknownOutcome(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{})
	p.CutInBody()
	out := messages(exchange, 1)
	if outcomes := b.Publish(t.Context(), out); len(outcomes) != 1 || !errors.Is(outcomes[0], parley.ErrUnknown) {
		t.Errorf("half a body was sent: %v, want ErrUnknown", outcomes)
	}
	if outcomes := b.Publish(t.Context(), out); outcomes != nil {
		t.Errorf("sent again: %v", outcomes)
	}
	if got := drain(t, b, queue); got["0"] != 1 || p.Count(faultproxy.Cuts) != 1 {
		t.Errorf("the message arrived %d times after %d cuts, want once after one", got["0"], p.Count(faultproxy.Cuts))
	}
}

func TestASwallowedConfirmIsUnknownAfterTheTimeout(t *testing.T) {
	p, b, exchange, _ := through(t, rabbitmq.Config{ConfirmTimeout: 300 * time.Millisecond})
	if err := b.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.SwallowConfirms(1)
	start := time.Now()
	outcomes := b.Publish(t.Context(), messages(exchange, 1))
	if len(outcomes) != 1 || !errors.Is(outcomes[0], parley.ErrUnknown) || !strings.Contains(outcomes[0].Error(), "no confirm for 300ms") {
		t.Errorf("the confirm was swallowed: %v, want ErrUnknown with the reason", outcomes)
	}
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("unknown after %v, want 300ms", took)
	}
	if p.Count(faultproxy.Swallowed) != 1 {
		t.Errorf("%d confirms swallowed, want 1", p.Count(faultproxy.Swallowed))
	}
	if outcomes := b.Publish(t.Context(), messages(exchange, 1)); outcomes != nil {
		t.Errorf("on the next connection: %v", outcomes)
	}
}

func TestConfirmsBehindASwallowedOneAreNotLost(t *testing.T) {
	p, b, exchange, queue := through(t, rabbitmq.Config{ConfirmTimeout: 500 * time.Millisecond, Window: 1})
	p.SwallowConfirms(1)
	sure, unsure := publishBatches(t, b, exchange, 3, 1)
	if len(sure) != 2 || len(unsure) != 1 {
		t.Errorf("%d confirmed and %d unknown, want 2 and 1", len(sure), len(unsure))
	}
	if got := drain(t, b, queue); len(got) != 3 {
		t.Errorf("%d messages arrived, want 3, including the unknown one", len(got))
	}
}

func TestADelayedReturnIsMatched(t *testing.T) {
	p, b, exchange, _ := through(t, rabbitmq.Config{})
	p.DelayReturn(50 * time.Millisecond)
	out := messages(exchange, 100)
	out[3].RoutingKey, out[77].RoutingKey = "no.queue", "no.queue"
	outcomes := b.Publish(t.Context(), out)
	for i := range out {
		if want := i == 3 || i == 77; len(outcomes) != 100 || errors.Is(outcomes[i], parley.ErrUnroutable) != want {
			t.Fatalf("outcomes %v, want 3 and 77 unroutable", outcomes)
		}
	}
	if n := p.Count(faultproxy.Delayed); n != 2 {
		t.Errorf("%d returns delayed, want 2", n)
	}
}

func TestEveryUnroutableMessageIsReported(t *testing.T) {
	b, exchange, _ := open(t, rabbitmq.Config{})
	out := messages(exchange, 10_000)
	for i := range out {
		if i%100 == 7 {
			out[i].RoutingKey = "no.queue"
		}
	}
	outcomes := b.Publish(t.Context(), out)
	if len(outcomes) != len(out) {
		t.Fatalf("%d outcomes, want %d", len(outcomes), len(out))
	}
	for i, err := range outcomes {
		if want := i%100 == 7; errors.Is(err, parley.ErrUnroutable) != want || !want && err != nil {
			t.Fatalf("message %d: got %v, unroutable: %v", i, err, want)
		}
	}
}
