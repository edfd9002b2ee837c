//go:build unix

package faulttests_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/service"
)

// patience bounds every wait. It is long, because a shared machine may be slow.
const patience = 90 * time.Second

// A lab is a database, a queue with some exchanges, and the ledger. It accesses both servers without
// proxies, and the broker without parley's driver.
type lab struct {
	t        *testing.T
	database string // URLs
	broker   string
	// db is the database of any kind; inTx commits the writes of fn, or rolls them back if fn fails.
	db   *sql.DB
	inTx func(ctx context.Context, fn func(tx transaction) error) error
	// These are nil unless the database is PostgreSQL.
	pool   *pgxpool.Pool
	store  *postgres.Store
	outbox *parley.Outbox[pgx.Tx]
	// This is nil if the database is PostgreSQL.
	service *service.Service

	queue     string
	arguments amqp.Table // of the queue
	exchanges []string
	events    []*parley.EventType[fact] // one for each exchange
	number    atomic.Int64              // of the last event
}

// A fact is the payload of all events.
type fact struct {
	Number int64  `json:"number"`
	Fill   string `json:"fill,omitempty"`
}

// newLab returns a lab on the shared servers.
func newLab(t *testing.T, exchanges int) *lab {
	t.Helper()
	notShort(t)
	return newLabOn(t, testenv.Postgres(t), testenv.RabbitMQ(t), exchanges)
}

func newLabOn(t *testing.T, database, broker string, exchanges int) *lab {
	t.Helper()
	return newLabWith(t, database, broker, exchanges, nil)
}

// newLabWith is newLabOn with the arguments of the lab's queue. The broker may be the nodes of a cluster, separated by commas.
func newLabWith(t *testing.T, database, broker string, exchanges int, arguments amqp.Table) *lab {
	t.Helper()
	l := &lab{t: t, database: database, broker: broker, queue: testenv.Unique(t, "faults"), arguments: arguments}
	for n := range exchanges {
		l.exchanges = append(l.exchanges, fmt.Sprintf("%s.%d", l.queue, n))
	}
	for _, name := range l.exchanges {
		l.events = append(l.events, parley.NewEvent[fact](name, "noted"))
	}
	l.open()
	l.declare()
	return l
}

// onBroker runs do on a new connection, because brokers restart in these tests.
func (l *lab) onBroker(do func(ch *amqp.Channel) error) error {
	var conn *amqp.Connection
	var err error
	for node := range strings.SplitSeq(l.broker, ",") {
		if conn, err = amqp.Dial(node); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	defer conn.CloseDeadline(time.Now().Add(5 * time.Second))
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return do(ch)
}

func (l *lab) declare() {
	l.t.Helper()
	err := l.onBroker(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(l.queue, true, false, false, false, l.arguments)
		for _, name := range l.exchanges {
			if err == nil {
				err = ch.ExchangeDeclare(name, "topic", true, false, false, false, nil)
			}
			if err == nil {
				err = ch.QueueBind(l.queue, "#", name, false, nil)
			}
		}
		return err
	})
	l.t.Cleanup(l.remove)
	if err != nil {
		l.t.Fatal(err)
	}
}

// remove deletes exchanges and queues on the broker, including those of consumers.
func (l *lab) remove() {
	_ = l.onBroker(func(ch *amqp.Channel) error { // a private broker may have stopped
		for _, suffix := range []string{"", ".parked", ".retry.1s", ".parley"} {
			_, _ = ch.QueueDelete(l.queue+suffix, false, false, false)
		}
		for _, name := range l.exchanges {
			_ = ch.ExchangeDelete(name, false, false)
		}
		return nil
	})
}

// ready counts the messages that wait in a queue.
func (l *lab) ready(queue string) (n int, err error) {
	err = l.onBroker(func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		n = q.Messages
		return err
	})
	return n, err
}

// arrivals empties the queue and returns its messages in order, without the planted unreadable ones. No message may be
// published to it meanwhile.
func (l *lab) arrivals() []arrival {
	l.t.Helper()
	var out []arrival
	err := l.onBroker(func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(l.queue, true, false, false, false, nil)
		if err != nil {
			return err
		}
		deliveries, err := ch.Consume(l.queue, "", true, false, false, false, nil)
		if err != nil {
			return err
		}
		timeout := time.NewTimer(patience)
		defer timeout.Stop()
		for taken := 0; taken < q.Messages; taken++ {
			select {
			case d, ok := <-deliveries:
				if !ok {
					return fmt.Errorf("the deliveries ended after %d of %d", taken, q.Messages)
				}
				if strings.HasPrefix(d.MessageId, poisonID) {
					continue
				}
				a, err := readArrival(d)
				if err != nil {
					return err
				}
				out = append(out, a)
			case <-timeout.C:
				return fmt.Errorf("only %d of %d messages arrived", taken, q.Messages)
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// readArrival decodes a body without parley's code.
func readArrival(d amqp.Delivery) (arrival, error) {
	var body struct {
		EventID int64 `json:"eventId"`
		Payload fact  `json:"payload"`
	}
	err := json.Unmarshal(d.Body, &body)
	return arrival{number: body.Payload.Number, exchange: d.Exchange, event: body.EventID, id: d.MessageId}, err
}

// eventually polls until ok returns true, and fails the test after patience.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, patience, what, ok)
}

// progressing waits until nothing is left. It fails when nothing has become less for as long as eventually waits: how long all of it takes
// depends on the machine.
func progressing(t *testing.T, what string, left func() (int, error)) {
	t.Helper()
	least, deadline := -1, time.Now().Add(patience)
	for time.Now().Before(deadline) {
		begin := time.Now()
		n, err := left()
		if err == nil && n == 0 {
			return
		}
		if err == nil && (least < 0 || n < least) {
			least, deadline = n, time.Now().Add(patience)
		}
		// The events are handled by other processes, which the looks must not slow down.
		<-time.After(max(10*time.Millisecond, 5*time.Since(begin)))
	}
	t.Fatalf("no progress within %v: %s; %d are left", patience, what, least)
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("timed out after %v: %s", limit, what)
		}
	}
}

// start runs a runner until the test ends or stop is called. stop waits for its end.
func start(t *testing.T, what string, r parley.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(patience):
			t.Errorf("%s did not stop within %v", what, patience)
		}
	}
	t.Cleanup(stop)
	return stop
}

// through returns a proxy to the server of a URL, and the URL of the proxy.
func through(t *testing.T, address string) (*faultproxy.Proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"amqp": "5672", "postgres": "5432", "mysql": "3306"}[u.Scheme]
	}
	p := faultproxy.Start(t, net.JoinHostPort(u.Hostname(), port))
	u.Host = p.Addr()
	return p, u.String()
}
