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
		s, err := callWithContext(ctx, b, func() (*session, error) { return b.dial("doctor", a) }, func(late *session) { _ = late.conn.Close() })
		if err != nil {
			found.Problem("broker", err.Error(), loginHint(err))
			continue
		}
		p := s.conn.Properties
		found.Fine("broker", "%v %v answers at %s", p["product"], p["version"], a)
		found.Support("broker", fmt.Sprint(p["product"]), fmt.Sprint(p["version"]))
		b.diagnosePublishing(ctx, s.conn, &found)
		_ = s.conn.Close() // the check is done
	}
	return found
}

func loginHint(err error) string {
	text := strings.ToLower(err.Error())
	_, refused := errors.AsType[*refusal](err)
	switch {
	case strings.Contains(text, "tls"), strings.Contains(text, "x509"):
		return "check broker.tls: the certificate is not trusted, or is for another name"
	case refused, strings.Contains(text, "403"), strings.Contains(text, "amqp handshake"):
		return "check user, password and the permission for the virtual host; guest may log in from the broker's own machine only"
	case strings.Contains(text, "refused"), strings.Contains(text, "timeout"), strings.Contains(text, "deadline"), strings.Contains(text, "no such host"):
		return "check that the broker runs, and host and port"
	}
	return ""
}

// diagnosePublishing sends a message to a queue of this connection's own. A broker with a memory or disk
// alarm accepts no messages, and reports that only to connections that have tried to publish.
func (b *Broker) diagnosePublishing(ctx context.Context, conn *amqp.Connection, found *parley.Findings) {
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 4))
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
