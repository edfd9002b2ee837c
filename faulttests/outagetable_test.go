//go:build unix

package faulttests_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// An outageRow holds the counts of one fault of a cluster or of a primary with its replica.
type outageRow struct {
	fault, servers string
	events         int
	// lost counts events without an effect, or that did not arrive in the queue; repeated counts second arrivals of a message, doubled counts second effects.
	lost, repeated, doubled int
	// reordered counts first arrivals out of order.
	reordered int
	// gap is the longest time between two effects.
	gap time.Duration
}

// outages is filled by the tests and printed at the end of the run.
var outages outageTable

type outageTable struct {
	mu   sync.Mutex // guards the field below
	rows []outageRow
}

func (o *outageTable) add(t *testing.T, r outageRow) {
	t.Helper()
	if r.gap == 0 {
		t.Errorf("%s: no gap was measured, so the test proves nothing", r.fault)
	}
	t.Logf("%s: %+v", r.fault, r)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows = append(o.rows, r)
}

// markdown returns the rows in the order of the run, or "" without any.
func (o *outageTable) markdown() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rows) == 0 {
		return ""
	}
	var out strings.Builder
	out.WriteString("| fault | servers | events | lost | doubled effects | repeated messages | order kept | longest gap |\n| --- | --- | ---: | ---: | ---: | ---: | --- | ---: |\n")
	for _, r := range o.rows {
		order := "yes"
		if r.reordered > 0 {
			order = fmt.Sprintf("no, %d", r.reordered)
		}
		fmt.Fprintf(&out, "| %s | %s | %d | %d | %d | %d | %s | %.1f s |\n", r.fault, r.servers, r.events, r.lost, r.doubled, r.repeated, order, r.gap.Seconds())
	}
	return out.String()
}

func TestTheTableOfOutagesSaysWhetherTheOrderWasKept(t *testing.T) {
	o := outageTable{rows: []outageRow{
		{fault: "b", servers: "x", events: 10, repeated: 3, gap: 1500 * time.Millisecond},
		{fault: "a", servers: "x", events: 5, lost: 1, doubled: 2, reordered: 4, gap: time.Second},
	}}
	want := `| fault | servers | events | lost | doubled effects | repeated messages | order kept | longest gap |
| --- | --- | ---: | ---: | ---: | ---: | --- | ---: |
| b | x | 10 | 0 | 0 | 3 | yes | 1.5 s |
| a | x | 5 | 1 | 2 | 0 | no, 4 | 1.0 s |
`
	if got := o.markdown(); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
	if (&outageTable{}).markdown() != "" {
		t.Error("a table without rows is not empty")
	}
}

// longestGap returns the longest time between two effects, by the database's clock.
func (l *lab) longestGap() (gap time.Duration) {
	l.t.Helper()
	var seconds float64
	l.each(l.t.Context(), "SELECT COALESCE(max(extract(epoch FROM gap)), 0)::float8 FROM (SELECT at - lag(at) OVER (ORDER BY at) AS gap FROM effects) AS g",
		func() { gap = time.Duration(seconds * float64(time.Second)) }, &seconds)
	return gap
}

// outage checks arrivals and effects after a fault and adds them to the table.
func (l *lab) outage(fault, servers string, repeated int) {
	l.t.Helper()
	gap := l.longestGap()
	e := l.evidence()
	effects := e.inEffect()
	l.counted(effects.events)
	e.arrivals = l.arrivals()
	arrived := e.inQueue()
	arrived.check(l.t, repeated)
	effects.check(l.t, 0)
	outages.add(l.t, outageRow{
		fault: fault, servers: servers, events: effects.events, lost: max(len(arrived.lost), len(effects.lost)), repeated: len(arrived.doubled),
		doubled: len(effects.doubled), reordered: len(arrived.reordered), gap: gap,
	})
}

// counted waits until the queue reports n messages. After a partition RabbitMQ 4.0 reports none for a while, although they are there. If the
// number stays too small, the reading shows what is lost.
func (l *lab) counted(n int) {
	l.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(200 * time.Millisecond) {
		messages := 0
		err := l.onBroker(func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclarePassive(l.queue, true, false, false, false, nil)
			messages = q.Messages
			return err
		})
		if err == nil && messages >= n {
			return
		}
	}
}
