package rabbitmq_test

import (
	"errors"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/rabbitmq"
)

// A header CC that is not a list is one of the causes for which RabbitMQ closes a channel
// without naming the message. It stands for causes that the checks here do not cover.
func TestAPoisonousMessageIsFoundAmongOthers(t *testing.T) {
	b, exchange, queue := open(t, rabbitmq.Config{})
	rabbitmq.Unchecked(b)
	out := messages(exchange, 20)
	out[11].Headers = map[string]any{"CC": "no list"}
	want := map[string]bool{}
	for i := range out {
		want[out[i].ID] = i != 11
	}
	// As a relay does: accepted and refused messages are settled, the others are sent again.
	for round := 0; len(out) > 0; round++ {
		if round == 10 {
			t.Fatalf("after %d rounds %d messages are still unknown", round, len(out))
		}
		outcomes := b.Publish(t.Context(), out)
		var rest []parley.Message
		for i := range out {
			switch {
			case outcomes == nil || outcomes[i] == nil:
			case errors.Is(outcomes[i], parley.ErrUnknown):
				rest = append(rest, out[i])
			case !errors.Is(outcomes[i], parley.ErrRefused) || want[out[i].ID]:
				t.Fatalf("message %s: %v", out[i].ID, outcomes[i])
			}
		}
		out = rest
	}
	got := drain(t, b, queue)
	for id, arrives := range want {
		if (got[id] > 0) != arrives {
			t.Errorf("message %s arrived %d times, want it there: %v", id, got[id], arrives)
		}
	}
}
