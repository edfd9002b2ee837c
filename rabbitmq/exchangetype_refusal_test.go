package rabbitmq

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The texts are those of RabbitMQ 3.10, 4.0 and 4.3.
func TestARefusalOfATypeIsRecognizedOnEveryVersion(t *testing.T) {
	for _, c := range []struct {
		name   string
		code   int
		reason string
		own    bool
		want   bool
	}{
		{"3.10", 503, "COMMAND_INVALID - unknown exchange type 'x-odd'", false, true},
		{"3.10, own connection", 503, "COMMAND_INVALID - invalid exchange type", true, true},
		{"another command", 503, "COMMAND_INVALID - unknown exchange type 'x-other'", false, false},
		{"4.0", 406, "PRECONDITION_FAILED - unknown exchange type 'x-odd'", false, true},
		{"4.0, a module that is no type", 406, "PRECONDITION_FAILED - invalid exchange type 'x-odd'", true, true},
		{"it exists with another type", 406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x-odd': received 'x-odd' but current is 'topic'", true, false},
		{"access refused", 403, "ACCESS_REFUSED - unknown exchange type 'x-odd'", true, false},
	} {
		err := topologyError("exchange", "e", &amqp.Error{Code: c.code, Reason: c.reason, Server: true})
		reason, got := typeRefusal(err, "x-odd", c.own)
		if got != c.want || got && reason != c.reason {
			t.Errorf("%s: %q is a refusal of the type: %v (%q), want %v", c.name, c.reason, got, reason, c.want)
		}
	}
}
