package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func rabbitHostPort(address string) (string, error) {
	u, err := amqp.ParseURI(address)
	if err != nil {
		return "", errors.New("not an AMQP URL: want amqp://user:password@host:port/vhost")
	}
	return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)), nil
}

// rabbitVersion opens a connection and a channel on it: a broker under a resource
// alarm, or a virtual host without permission, fails only then.
func rabbitVersion(ctx context.Context, address string) (string, error) {
	timeout := setupTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = time.Until(deadline)
	}
	conn, err := amqp.DialConfig(address, amqp.Config{Dial: amqp.DefaultDial(timeout)})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Channel(); err != nil {
		return "", fmt.Errorf("open a channel: %w", err)
	}
	return fmt.Sprint(conn.Properties["version"]), nil
}
