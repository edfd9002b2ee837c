package console

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

const (
	// maxTails is the most live tails of a console at one time.
	maxTails = 4
	// tailMessages and tailTime end a live tail.
	tailMessages = 500
	tailTime     = 5 * time.Minute
	// onceMessages and onceTime end a tail without a script.
	onceMessages = 50
	onceTime     = 5 * time.Second
	// tailBeat is how often an idle live tail sends a comment, to notice that the browser has left.
	tailBeat = 10 * time.Second
	// tailBody is the most bytes of a body in a tail.
	tailBody = 2000
)

// tailOf is what a tail watches.
type tailOf struct {
	Exchange string
	Pattern  string
	Bodies   bool
}

func (q *request) tailOf() tailOf {
	t := tailOf{Exchange: q.get("exchange"), Pattern: q.get("pattern"), Bodies: q.get("bodies") != "" && q.user.May(RolePayloads)}
	if t.Pattern == "" {
		t.Pattern = "#"
	}
	return t
}

// tailView is the data of the page.
type tailView struct {
	Missing   bool
	Of        tailOf
	Exchanges []string
	List      []tailed
	Done      bool // the list is the result of a tail without a script
	Command   string
	Seconds   int
	Messages  int
}

// tailed is a message of a tail.
type tailed struct {
	At            string `json:"at"`
	Exchange      string `json:"exchange"`
	RoutingKey    string `json:"routing_key"`
	Kind          string `json:"kind"`
	ID            string `json:"id"`
	CorrelationID string `json:"correlation_id"`
	Size          int    `json:"size"`
	Body          string `json:"body,omitempty"`
}

func (c *Console) tail(q *request) error { return q.showTail(nil, false) }

func (q *request) showTail(list []tailed, done bool) error {
	v := &tailView{Missing: q.src.Broker == nil, Of: q.tailOf(), List: list, Done: done, Seconds: int(onceTime.Seconds()), Messages: onceMessages}
	v.Command = commandLine(q.src.Command, "tail", v.Of.Exchange, v.Of.Pattern)
	if q.src.Topology != nil && !v.Missing {
		ctx, cancel := context.WithTimeout(q.r.Context(), readTimeout)
		defer cancel()
		if t, err := q.src.Source.Topology(ctx); err == nil {
			seen := map[string]bool{}
			for _, b := range t.Bindings {
				if !seen[b.Exchange] {
					seen[b.Exchange], v.Exchanges = true, append(v.Exchanges, b.Exchange)
				}
			}
		}
	}
	return q.show(http.StatusOK, "tail.html", view{Title: "Tail", Tab: "tail", Data: v})
}

// tailOnce watches for a few seconds and shows what arrived. It needs no script.
func (c *Console) tailOnce(q *request) error {
	var list []tailed
	ctx, cancel := context.WithTimeout(q.r.Context(), onceTime)
	defer cancel()
	err := q.watch(ctx, q.tailOf(), nil, func(m tailed) error {
		if list = append(list, m); len(list) == onceMessages {
			return errEnough
		}
		return nil
	})
	if err != nil {
		return err
	}
	return q.showTail(list, true)
}

// tailEvents streams messages as server-sent events until it has sent tailMessages, or tailTime has passed, or the browser leaves.
func (c *Console) tailEvents(q *request) error {
	t := q.tailOf()
	control := http.NewResponseController(q.w)
	started, sent := false, 0
	write := func(format string, args ...any) error {
		_ = control.SetWriteDeadline(time.Now().Add(2 * tailBeat)) // a server without deadlines has none to extend
		if _, err := fmt.Fprintf(q.w, format, args...); err != nil {
			return err
		}
		return control.Flush()
	}
	start := func() error {
		started = true
		q.w.Header().Set("Content-Type", "text/event-stream")
		q.w.Header().Set("X-Accel-Buffering", "no")
		return write("event: watching\ndata: {}\n\n")
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), tailTime)
	defer cancel()
	err := q.watch(ctx, t, func() error {
		if !started {
			return start()
		}
		return write(": idle\n\n")
	}, func(m tailed) error {
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := write("data: %s\n\n", data); err != nil {
			return err
		}
		if sent++; sent == tailMessages {
			return errEnough
		}
		return nil
	})
	if !started {
		return err
	}
	reason := fmt.Sprintf("stopped after %s and %s", messages(sent), age(tailTime))
	switch {
	case err != nil:
		reason = "stopped: " + printable(q.src.redact(err).Error())
	case sent == tailMessages:
		reason = "stopped after " + messages(sent)
	}
	data, _ := json.Marshal(map[string]string{"reason": reason})
	_ = write("event: end\ndata: %s\n\n", data) // the browser may have left
	return nil
}

// watch binds a temporary queue, so that no consumer loses a message, and passes what arrives to each. It calls beat, if not nil, when it
// has bound the queue, and then whenever nothing arrives for a while. It returns nil when ctx ends or each returns errEnough.
func (q *request) watch(ctx context.Context, t tailOf, beat func() error, each func(tailed) error) (err error) {
	if q.src.Broker == nil || t.Exchange == "" {
		return &problem{http.StatusBadRequest, "Give the exchange to watch.", ""}
	}
	select {
	case q.c.tails <- struct{}{}:
		defer func() { <-q.c.tails }()
	default:
		return &problem{http.StatusTooManyRequests, fmt.Sprintf("%d tails are running, the limit of a console.", maxTails), "stop one of them"}
	}
	b, queue := q.src.Broker, "parley.tail."+rand.Text()
	// The broker deletes the queue soon, even if this process is killed; and it never grows.
	args := map[string]any{"x-expires": int64(60_000), "x-max-length": int64(1000)}
	topology := parley.Topology{
		Queues:   []parley.Queue{{Name: queue, Exclusive: true, Arguments: args}},
		Bindings: []parley.Binding{{Queue: queue, Exchange: t.Exchange, RoutingKey: t.Pattern}},
	}
	if err := b.Declare(ctx, topology); err != nil {
		return ended(ctx, err)
	}
	defer q.deleteQueue(queue)
	sub, err := b.Subscribe(ctx, queue, parley.SubscribeOptions{Prefetch: 100})
	if err != nil {
		return ended(ctx, err)
	}
	defer func() { _ = sub.Close() }() // the queue is deleted next
	if beat != nil {
		if err := beat(); err != nil {
			return nil // the browser has left
		}
	}
	for {
		d, err := nextDelivery(ctx, sub, beat)
		if err != nil {
			return ended(ctx, err)
		}
		if err := errors.Join(each(q.tailed(t, d)), d.Settle(parley.SettleAck)); err != nil {
			return ended(ctx, err)
		}
	}
}

// nextDelivery returns the next delivery. It calls beat while none arrives.
func nextDelivery(ctx context.Context, sub parley.Subscription, beat func() error) (*parley.Delivery, error) {
	for {
		wait, cancel := context.WithTimeout(ctx, tailBeat)
		d, err := sub.Next(wait)
		idle := wait.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !idle {
			return d, err
		}
		if beat != nil {
			if err := beat(); err != nil {
				return nil, errEnough // the browser has left
			}
		}
	}
}

// ended returns nil for the planned ends of a tail.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// deleteQueue deletes the queue of a tail, if the broker can. An exclusive queue would otherwise stay as long as the connection.
func (q *request) deleteQueue(name string) {
	deleter, ok := q.src.Broker.(interface {
		DeleteQueue(ctx context.Context, name string) error
	})
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.r.Context()), readTimeout)
	defer cancel()
	if err := deleter.DeleteQueue(ctx, name); err != nil {
		q.c.opts.Logger.Warn("console: deleting the queue of a tail failed", "queue", name, "err", q.src.redact(err))
	}
}

func (q *request) tailed(t tailOf, d *parley.Delivery) tailed {
	m := tailed{
		At: q.c.now().UTC().Format("15:04:05.000 UTC"), Exchange: printable(d.Exchange), RoutingKey: printable(d.RoutingKey), Kind: printable(string(d.Kind)),
		ID: printable(d.ID), CorrelationID: printable(d.CorrelationID), Size: len(d.Body),
	}
	if t.Bodies {
		m.Body = printableBody(string(d.Body[:min(len(d.Body), tailBody)]))
		if len(d.Body) > tailBody {
			m.Body += "…"
		}
	}
	m.Body = strings.TrimSpace(m.Body)
	return m
}
