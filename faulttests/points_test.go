package faulttests_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// A point is a place in the program where a child process ends itself.
type point string

const (
	beforePublish point = "before publish"
	midPublish    point = "mid publish"
	afterPublish  point = "after publish, before delete"
	afterDelete   point = "after delete, before commit"
	beforeInsert  point = "before insert"
	afterInsert   point = "after insert, before commit"
	beforeHandler point = "before the handler"
	afterEffect   point = "after the effect, before commit"
	afterCommit   point = "after commit"
	beforeAck     point = "after the handler, before ack"
	afterHop      point = "between hop and ack"
	afterPark     point = "between parking and ack"
)

// points waits for one of them to be passed so many times, and strikes.
type points struct {
	at     point
	pass   int
	signal syscall.Signal

	mu     sync.Mutex // guards the field below
	passed int
}

// reach is called at each point. The strike is announced on standard output, so that the parent knows that it is
// not another death.
func (p *points) reach(at point) {
	if at != p.at {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed++
	if p.passed != p.pass {
		return
	}
	fmt.Fprintln(os.Stdout, struckWord)
	_ = syscall.Kill(os.Getpid(), p.signal)
	for p.signal == syscall.SIGKILL {
		select {} // not one instruction further
	}
}

// due tells that the next pass of a point strikes.
func (p *points) due(at point) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return at == p.at && p.passed+1 == p.pass
}

// pointedBroker passes the points around publishing. It keeps all other abilities of the driver.
type pointedBroker struct {
	*rabbitmq.Broker
	p *points
}

func (b pointedBroker) Publish(ctx context.Context, messages []parley.Message) []error {
	b.p.reach(beforePublish)
	if len(messages) > 1 {
		if b.p.due(midPublish) {
			b.Broker.Publish(ctx, messages[:len(messages)/2])
		}
		b.p.reach(midPublish)
	}
	outcomes := b.Broker.Publish(ctx, messages)
	b.p.reach(afterPublish)
	switch {
	case messages[0].Exchange != "":
	case strings.HasSuffix(messages[0].RoutingKey, ".parked"):
		b.p.reach(afterPark)
	default:
		b.p.reach(afterHop)
	}
	return outcomes
}

// pointedTracer passes the points around the statements of interest: it is told of each before and after.
type pointedTracer struct {
	p *points

	mu      sync.Mutex // guards the field below
	changed map[*pgx.Conn]bool
}

type committing struct{}

// TraceQueryStart is called before a statement is sent.
func (tr *pointedTracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch {
	case strings.HasPrefix(data.SQL, "DELETE FROM parley_outbox"), strings.HasPrefix(data.SQL, "INSERT INTO effects"),
		strings.HasPrefix(data.SQL, "INSERT INTO ledger"):
		tr.changed[conn] = true
	case data.SQL == "rollback":
		delete(tr.changed, conn)
	case data.SQL == "commit" && tr.changed[conn]:
		delete(tr.changed, conn)
		tr.p.reach(afterDelete)
		tr.p.reach(afterEffect)
		tr.p.reach(afterInsert)
		return context.WithValue(ctx, committing{}, true)
	}
	return ctx
}

// TraceQueryEnd is called when the server has answered.
func (tr *pointedTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if ctx.Value(committing{}) != nil && data.Err == nil {
		tr.p.reach(afterCommit)
	}
}

// middleware passes the points around a handler, its transaction included.
func (p *points) middleware(next parley.Handler) parley.Handler {
	return parley.HandlerFunc(func(ctx context.Context, d *parley.Delivery) error {
		p.reach(beforeHandler)
		err := next.Handle(ctx, d)
		if err == nil {
			p.reach(beforeAck)
		}
		return err
	})
}

// commitCutter cuts the database connection when the server has got a batch's commit and before it has answered.
type commitCutter struct {
	proxy  *faultproxy.Proxy
	cuts   atomic.Int64
	enough atomic.Bool

	// The fields below belong to the relay's goroutine.
	deleted bool
	commits int
}

// answerDelay is longer than the way of a commit to the server and shorter than the way there and back.
const answerDelay = 20 * time.Millisecond

// TraceQueryStart is called before a statement is sent.
func (c *commitCutter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(data.SQL, "DELETE FROM parley_outbox") {
		c.deleted = true
		return ctx
	}
	if data.SQL != "commit" || !c.deleted {
		return ctx
	}
	c.deleted = false
	c.commits++
	// Every third one: a relay that never gets a batch through waits longer and longer.
	if c.commits%3 == 0 && !c.enough.Load() {
		c.proxy.Latency(answerDelay)
		time.AfterFunc(3*answerDelay/2, func() {
			if c.proxy.Cut() > 0 {
				c.cuts.Add(1)
			}
			c.proxy.Heal()
		})
	}
	return ctx
}

// TraceQueryEnd is called when the server has answered, or nobody will.
func (c *commitCutter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
