package rabbitmq

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestOnlyRabbitMQHasAVersionAndItIsComparedByNumber(t *testing.T) {
	for _, c := range []struct {
		product, version string
		want             version
		atLeast310       bool
	}{
		{"RabbitMQ", "3.9.27", version{3, 9}, false},
		{"RabbitMQ", "3.10.0", version{3, 10}, true},
		{"RabbitMQ", "4.0.5-rc.1", version{4, 0}, true},
		{"RabbitMQ", "4", version{}, false},
		{"RabbitMQ", "", version{}, false},
		{"LavinMQ", "4.0.5", version{}, false},
	} {
		got := versionOf(amqp.Table{"product": c.product, "version": c.version})
		if got != c.want || got.atLeast(3, 10) != c.atLeast310 {
			t.Errorf("%s %q: version %v, at least 3.10: %v; want %v and %v", c.product, c.version, got, got.atLeast(3, 10), c.want, c.atLeast310)
		}
	}
	if got := versionOf(amqp.Table{"version": int64(4)}); got != (version{}) {
		t.Errorf("properties of another type have the version %v", got)
	}
}
