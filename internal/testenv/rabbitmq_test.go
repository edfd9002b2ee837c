package testenv_test

import (
	"testing"

	"github.com/parley-go/parley/internal/testenv"
	amqp "github.com/rabbitmq/amqp091-go"
)

func TestRabbitMQGivesAURLThatTakesALogin(t *testing.T) {
	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	name := testenv.Unique(t, "testenv")
	if _, err := ch.QueueDeclare(name, false, true, true, false, nil); err != nil {
		t.Errorf("declare queue %q: %v", name, err)
	}
}
