package memory_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"pgregory.net/rapid"
)

func TestOnlyTheHeadOfAQueueExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, parley.Queue{Name: "q", TTL: time.Minute, DeadLetterTo: "dead"}, parley.Queue{Name: "dead"})
		publish(t, b, to("q", 2)...)
		s := subscribe(t, b, "q", 1)
		held := next(t, s)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wantWaiting(t, b, "dead", "1")
		if err := held.Settle(parley.SettleRequeue); err != nil {
			t.Fatal(err)
		}
		wantWaiting(t, b, "dead", "1", "0") // it had expired when it returned
		wantWaiting(t, b, "q")
	})
}

// A queueModel makes random calls on a queue and keeps its expected content.
type queueModel struct {
	t         *testing.T
	b         *memory.Broker
	subs      []parley.Subscription
	inHand    [][]*parley.Delivery // by subscription; only those that Next has returned
	published int
	acked     map[string]bool
}

func (m *queueModel) publish(r *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(r, "messages") {
		publish(m.t, m.b, parley.Message{RoutingKey: "q", ID: strconv.Itoa(m.published)})
		m.published++
	}
}

func (m *queueModel) subscribe(r *rapid.T) {
	m.subs = append(m.subs, subscribe(m.t, m.b, "q", rapid.IntRange(1, 4).Draw(r, "prefetch")))
	m.inHand = append(m.inHand, nil)
}

// settle takes a delivery if a subscription has one, and settles one in hand.
func (m *queueModel) settle(r *rapid.T) {
	if len(m.subs) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.subs)-1).Draw(r, "subscription")
	if d := memory.TryNext(m.subs[i]); d != nil {
		if m.acked[d.ID] {
			r.Fatalf("message %s was acknowledged, and comes again", d.ID)
		}
		m.inHand[i] = append(m.inHand[i], d)
	}
	if len(m.inHand[i]) == 0 {
		return
	}
	k := rapid.IntRange(0, len(m.inHand[i])-1).Draw(r, "delivery")
	d := m.inHand[i][k]
	m.inHand[i] = slices.Delete(m.inHand[i], k, k+1)
	how := rapid.SampledFrom([]parley.Settlement{parley.SettleAck, parley.SettleAck, parley.SettleRequeue}).Draw(r, "settlement")
	if err := d.Settle(how); err != nil {
		r.Fatalf("settle message %s: %v", d.ID, err)
	}
	m.acked[d.ID] = m.acked[d.ID] || how == parley.SettleAck
}

func (m *queueModel) close(r *rapid.T) {
	if len(m.subs) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.subs)-1).Draw(r, "subscription")
	if err := m.subs[i].Close(); err != nil {
		r.Fatal(err)
	}
	m.subs = slices.Delete(m.subs, i, i+1)
	m.inHand = slices.Delete(m.inHand, i, i+1)
}

func (m *queueModel) disconnect(*rapid.T) {
	m.b.Disconnect()
	m.subs, m.inHand = nil, nil
}

// check ends all subscriptions and requires that the queue holds every unacked message, in order.
func (m *queueModel) check(r *rapid.T) {
	m.disconnect(r)
	want := []string{}
	for i := range m.published {
		if id := fmt.Sprint(i); !m.acked[id] {
			want = append(want, id)
		}
	}
	if got := waiting(m.b, "q"); !slices.Equal(got, want) {
		r.Fatalf("the queue has %v, want %v", got, want)
	}
}

func TestQueueLosesNothingAndKeepsItsOrderWhateverHappens(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := &queueModel{t: t, b: open(t, parley.Queue{Name: "q"}), acked: map[string]bool{}}
		steps := []func(*rapid.T){m.publish, m.publish, m.subscribe, m.settle, m.settle, m.settle, m.settle, m.close, m.disconnect}
		for range rapid.IntRange(1, 80).Draw(r, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(r, "step")](r)
		}
		m.check(r)
	})
}
