package service

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
)

// publishing sends a message to a queue of this connection's own. A broker with a memory or disk
// alarm takes no message, and says so only to those who have tried.
func (d *doctor) publishing(ctx context.Context, conn *amqp.Connection) {
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 4))
	confirmed := make(chan error, 1)
	go func() { confirmed <- probePublish(conn) }() // ends with the connection at the latest
	patience := time.NewTimer(min(d.timeout, 5*time.Second))
	defer patience.Stop()
	for {
		select {
		case b := <-blocked:
			if b.Active {
				d.problem("broker", "takes no messages: "+b.Reason, "free memory or disk on the broker's machine: rabbitmqctl status shows the alarm")
				return
			}
		case err := <-confirmed:
			if err != nil {
				d.warn("broker", "a probe was not confirmed: "+err.Error(), "may this user declare a queue of its own, and write to the default exchange?")
				return
			}
			d.fine("broker", "takes and confirms messages")
			return
		case <-patience.C:
			d.problem("broker", "does not confirm messages", "look for memory and disk alarms: rabbitmqctl status")
			return
		case <-ctx.Done():
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
		return fmt.Errorf("it was rejected")
	}
	return nil
}

// listening finds out whether notifications arrive: a pooler in transaction mode loses them.
func (d *doctor) listening(ctx context.Context) {
	if d.s.Settings.Database.PollOnly {
		return
	}
	conn, err := pgx.Connect(ctx, d.s.Settings.Database.URL.Reveal())
	if err != nil {
		d.failed("notifications", redacted(err, d.s.Settings.secrets()...), "")
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err = conn.Exec(ctx, "LISTEN parley_doctor"); err == nil {
		_, err = conn.Exec(ctx, "NOTIFY parley_doctor")
	}
	if err == nil {
		wait, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = conn.WaitForNotification(wait)
		cancel()
	}
	if err != nil {
		d.warn("notifications", "do not arrive: the relay finds new records by polling, up to a second late", "give LISTEN a direct connection, not a pooler in transaction mode, or set database.poll_only")
		return
	}
	if d.untriggered(ctx) {
		d.warn("notifications", "arrive, but the outbox has no trigger that sends them: the relay finds new records by polling, up to a second late", "is parley_outbox_notify dropped or disabled? Make it again as in parley migrate sql, or set database.poll_only")
		return
	}
	d.fine("notifications", "arrive")
}

// untriggered tells that our own outbox is there, but has lost the trigger that notifies, or has it disabled.
func (d *doctor) untriggered(ctx context.Context) bool {
	if or(d.s.Settings.Database.Table, ownTable) != ownTable {
		return false // Python's table may well have none
	}
	lost := false
	err := d.ask(ctx, `SELECT NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = r.oid AND t.tgname = 'parley_outbox_notify' AND t.tgenabled IN ('O', 'A'))
 FROM pg_class r WHERE r.oid = to_regclass(`+d.outboxLiteral()+`)`, &lost)
	return err == nil && lost // no row: the migrations tell
}

// pythonRelay looks for a relay of the Python library on the same table: it takes no locks, so that
// everything would be sent twice.
func (d *doctor) pythonRelay(ctx context.Context) {
	if d.s.Settings.Database.Table != djangoTable {
		return
	}
	var n int64
	err := d.ask(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
 AND (query ILIKE 'listen %\_eventqueued%' OR query LIKE '%"services_communication_publishedeventqueue"."id"%')`, &n)
	switch {
	case err != nil:
		d.failed("other relays", err, "")
	case n > 0:
		d.problem("other relays", fmt.Sprintf("%d connections look like runpublisher of the Python library on the same table", n), "stop it before a relay of parley runs: it takes no locks, and everything would be sent twice")
	default:
		d.fine("other relays", "no runpublisher of the Python library is to be seen")
	}
}
