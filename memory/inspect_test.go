package memory_test

import (
	"slices"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestPurgeEmptiesAQueueAndQueueLenCounts(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"})
	publish(t, b, to("q", 5)...)
	s := subscribe(t, b, "q", 2)
	if n, consumers, err := b.QueueLen(t.Context(), "q"); n != 3 || consumers != 1 || err != nil {
		t.Errorf("2 of 5 in hand: %d messages, %d consumers, %v", n, consumers, err)
	}
	if n, err := b.Purge(t.Context(), "q"); n != 3 || err != nil {
		t.Errorf("purged %d messages (%v), want 3", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantWaiting(t, b, "q", "0", "1")
	if got := b.Queues(); !slices.Equal(got, []string{"q"}) {
		t.Errorf("the broker has the queues %v", got)
	}
	_, _, err := b.QueueLen(t.Context(), "nowhere")
	wantCode(t, err, 404)
	_, err = b.Purge(t.Context(), "nowhere")
	wantCode(t, err, 404)
}

func TestPublishedKeepsTheLastMessages(t *testing.T) {
	b := memory.NewBroker(&memory.BrokerConfig{LogLimit: 3})
	declare(t, b, parley.Queue{Name: "q"})
	for range 5 {
		publish(t, b, to("q", 4)...)
	}
	b.Publish(t.Context(), to("nowhere", 1)) // unroutable, but it has reached the broker
	var got []string
	for _, m := range b.Published() {
		got = append(got, m.RoutingKey+m.ID)
	}
	if want := []string{"q2", "q3", "nowhere0"}; !slices.Equal(got, want) {
		t.Errorf("of a log of 3 there are %v, want %v", got, want)
	}
	none := memory.NewBroker(&memory.BrokerConfig{LogLimit: -1})
	declare(t, none, parley.Queue{Name: "q"})
	publish(t, none, to("q", 4)...)
	if n := len(none.Published()); n != 0 {
		t.Errorf("a log that was turned off has %d messages", n)
	}
}
