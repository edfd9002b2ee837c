package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
)

var _ parley.Diagnoser = (*Broker)(nil)

// Diagnose implements parley.Diagnoser. It logs in to each node once. Unlike the broker's own connections it does not
// retry, so it gets the reason of a failure. Then it sends a message to a queue of its own. It reports no problem only if a
// node accepts messages.
func (b *Broker) Diagnose(ctx context.Context) []parley.Finding {
	var found parley.Findings
	for _, a := range b.addresses {
		s, err := callWithContext(ctx, b, func() (*session, error) { return b.dial("doctor", a) }, func(late *session) { _ = closeSoon(late.conn) })
		if err != nil {
			text, hint := problemOf(err)
			found.Problem("broker", text, hint)
			continue
		}
		p := s.conn.Properties
		found.Fine("broker", "%v %v answers at %s", p["product"], p["version"], a)
		found.Support("broker", fmt.Sprint(p["product"]), fmt.Sprint(p["version"]))
		b.diagnosePublishing(ctx, s.conn, &found)
		_ = closeSoon(s.conn) // the check is done
	}
	return found
}

// problemOf returns why a dial failed, and what the reader can do.
func problemOf(err error) (text, hint string) {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.text, r.hint
	}
	text = err.Error()
	switch lower := strings.ToLower(text); {
	case strings.Contains(lower, "tls"), strings.Contains(lower, "x509"):
		return text, "check broker.tls: the certificate is not trusted, or is for another name"
	case strings.Contains(lower, "403"), strings.Contains(lower, "amqp handshake"):
		return text, loginHint
	case strings.Contains(lower, "refused"), strings.Contains(lower, "timeout"), strings.Contains(lower, "deadline"), strings.Contains(lower, "no such host"):
		return text, "check that the broker runs, and host and port"
	}
	return text, ""
}

// diagnosePublishing sends a message to a queue of this connection's own. A broker with a memory or disk
// alarm accepts no messages, and reports that only to connections that have tried to publish.
func (b *Broker) diagnosePublishing(ctx context.Context, conn *amqp.Connection, found *parley.Findings) {
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 16)) // the library panics if it is full when the connection closes
	confirmed := make(chan error, 1)
	go func() { confirmed <- probePublish(conn) }() // ends with the connection at the latest
	patience := time.NewTimer(5 * time.Second)
	defer patience.Stop()
	for {
		select {
		case blocking := <-blocked:
			if blocking.Active {
				found.Problem("broker", "accepts no messages: "+blocking.Reason, "free memory or disk on the broker's machine: rabbitmqctl status shows the alarm")
				return
			}
		case err := <-confirmed:
			if err != nil {
				found.Warn("broker", "a test message was not confirmed: "+err.Error(), "allow this user to declare a queue and to write to the default exchange")
				return
			}
			found.Fine("broker", "accepts and confirms messages")
			return
		case <-patience.C:
			found.Problem("broker", "does not confirm messages", "look for memory and disk alarms: rabbitmqctl status")
			return
		case <-ctx.Done():
			found.Problem("broker", "does not confirm messages in time", "look for memory and disk alarms: rabbitmqctl status")
			return
		}
	}
}

func probePublish(conn *amqp.Connection) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		return err
	}
	c, err := ch.PublishWithDeferredConfirm("", q.Name, true, false, amqp.Publishing{Body: []byte("probe")})
	if err != nil {
		return err
	}
	if !c.Wait() {
		return fmt.Errorf("the broker rejected it")
	}
	return nil
}
