package rabbitmq

import (
	"errors"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

// priorityArgument is an argument of the consumers of classic and quorum queues. RabbitMQ rejects it for a stream.
const priorityArgument = "x-priority"

// notAStream returns the arguments of consumers. They change nothing on classic and quorum queues, where 0 is the default priority,
// and make RabbitMQ reject a consumer of a stream. AMQP has no request that returns the type of a queue.
func notAStream() amqp.Table { return amqp.Table{priorityArgument: int32(0)} }

// consumeError returns the error of a rejected consumer. Streams are not consumed: without a stored offset, messages between two
// subscriptions would be skipped without notice.
func consumeError(queue string, err error) error {
	if cause, ok := errors.AsType[*amqp.Error](err); ok && cause.Code == amqp.PreconditionFailed && strings.Contains(cause.Reason, priorityArgument) {
		return &parley.InvalidError{What: "queue", Value: queue, Problem: "is a stream: messages between two subscriptions " +
			"would be skipped (consume a classic or quorum queue that is bound to the same exchange)"}
	}
	return topologyError("queue", queue, err)
}
