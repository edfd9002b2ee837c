package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

// A log prints one line for each step of the demo.
type log struct {
	// told has a channel for each routing key, which is closed when the commit was printed. So the lines about a delivery come
	// after the line of its transaction.
	told map[string]chan struct{}

	mu    sync.Mutex // guards the fields below
	out   io.Writer
	start map[string]time.Time // by routing key: start of the latency
}

func newLog(out io.Writer) *log {
	l := &log{out: out, start: map[string]time.Time{}, told: map[string]chan struct{}{}}
	for _, e := range [...]*parley.EventType[User]{Renamed, Remind, Done} {
		l.told[e.RoutingKey()] = make(chan struct{})
	}
	return l
}

const columns = "%-13s %-12s %-9s %-13s %-30s %s\n"

func (l *log) header() {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, columns, "TIME", "STEP", "EXCHANGE", "ROUTING KEY", "PAYLOAD", "LATENCY")
}

// line prints a step.
func (l *log) line(step, exchange, key string, payload any, note string) {
	text, err := json.Marshal(payload)
	if err != nil {
		text = []byte(err.Error())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, columns, time.Now().Format("15:04:05.000"), step, exchange, key, text, note)
}

// from records when the latency of an event starts: at its commit, or when it is due.
func (l *log) from(key string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start[key] = at
}

// tell allows the lines about the delivery of key to be printed.
func (l *log) tell(key string) {
	select {
	case <-l.told[key]:
	default:
		close(l.told[key]) // only the goroutine of demo.tell calls this
	}
}

// wait blocks until the lines about the delivery of key may be printed.
func (l *log) wait(ctx context.Context, key string) {
	select {
	case <-ctx.Done():
	case <-l.told[key]: // an unknown key is a bug; its nil channel blocks
	}
}

// since returns the latency of an event, from its commit or its due time.
func (l *log) since(key string, at time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, ok := l.start[key]
	if !ok {
		return ""
	}
	ms := max(0, float64(at.Sub(from).Microseconds())/1000)
	what := "after the commit"
	if key == Remind.RoutingKey() {
		what = "after it was due"
	}
	return fmt.Sprintf("%.1f ms %s", ms, what)
}

func (l *log) text(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprint(l.out, s)
}

// observed prints each message before it publishes the message.
type observed struct {
	parley.Publisher
	log *log
}

// Publish implements parley.Publisher.
func (o observed) Publish(ctx context.Context, messages []parley.Message) []error {
	outcomes := make([]error, len(messages))
	for i := range messages {
		m := &messages[i]
		o.log.wait(ctx, m.RoutingKey)
		var body struct {
			Payload json.RawMessage `json:"payload"`
		}
		err := json.Unmarshal(m.Body, &body)
		o.log.line("relayed", m.Exchange, m.RoutingKey, body.Payload, "") // before the consumer prints it
		if err == nil {
			if one := o.Publisher.Publish(ctx, messages[i:i+1]); one != nil {
				err = one[0]
			}
		}
		outcomes[i] = err
	}
	return outcomes
}
