package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A version is the version of a RabbitMQ server. It is zero for other brokers, which lack the features of newer versions.
type version struct{ major, minor int }

// versionOf reads the version from the properties that a server sends at login.
func versionOf(properties amqp.Table) (v version) {
	product, _ := properties["product"].(string)
	text, _ := properties["version"].(string)
	if product != "RabbitMQ" {
		return version{}
	}
	if _, err := fmt.Sscanf(text, "%d.%d", &v.major, &v.minor); err != nil {
		return version{}
	}
	return v
}

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}
