package console

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// exchange declares an exchange and returns a function that publishes to it.
func (w *world) exchange(name string) func(body string) {
	w.t.Helper()
	if err := w.broker.Declare(w.t.Context(), parley.Topology{Exchanges: []parley.Exchange{{Name: name}}}); err != nil {
		w.t.Fatal(err)
	}
	return func(body string) {
		w.t.Helper()
		m := parley.Message{Exchange: name, RoutingKey: "a.b", ID: "1", Kind: parley.KindEvent, Body: []byte(body)}
		if err := errors.Join(w.broker.Publish(w.t.Context(), []parley.Message{m})...); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestALiveTailStreamsWhatArrivesAndLeavesNoQueue(t *testing.T) {
	w := newWorld(t, nil)
	publish := w.exchange("user")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := w.request(http.MethodGet, "/s/orders/tail/events?exchange=user&pattern=a.*&bodies=1", nil).WithContext(ctx)
	answer, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("the format is %q", got)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() && lines.Text() != "event: watching" {
	}
	publish(`<b>hello</b>`)
	for lines.Scan() && !strings.Contains(lines.Text(), "hello") {
	}
	if got := lines.Text(); !strings.HasPrefix(got, "data: {") || !strings.Contains(got, `\u003cb\u003ehello`) {
		t.Errorf("the event is %q", got)
	}
	cancel()
	for len(w.console.tails) > 0 { // until the handler has ended
		<-time.After(time.Millisecond)
	}
	for _, name := range w.broker.Queues() {
		if strings.HasPrefix(name, "parley.tail.") {
			t.Errorf("the queue %s is left", name)
		}
	}
}

func TestBodiesAreHiddenInATailWithoutTheRolePayloads(t *testing.T) {
	w := newWorld(t, nil)
	w.user = User{"eve", RoleReader}
	q := &request{c: w.console, r: w.request(http.MethodGet, "/?bodies=1", nil), user: w.user, src: w.console.sources[0]}
	if err := q.r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	if m := q.tailed(q.tailOf(), &parley.Delivery{Message: parley.Message{Body: []byte("a secret")}}); m.Body != "" || m.Size != 8 {
		t.Errorf("the tail shows %+v", m)
	}
}

func TestOnlyAFewTailsRunAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.exchange("user")
	for range maxTails {
		w.console.tails <- struct{}{}
	}
	w.post("/s/orders/tail", url.Values{"exchange": {"user"}}).must(t, http.StatusTooManyRequests)
	w.get("/s/orders/tail/events?exchange=user").must(t, http.StatusTooManyRequests)
	for range maxTails {
		<-w.console.tails
	}
	w.get("/s/orders/tail/events").must(t, http.StatusBadRequest)
}
