package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestAFilterComparesAThousandRowsForEachPageAndGoesOn(t *testing.T) {
	w := newWorld(t, nil)
	var list []parley.Failure
	for range 2 * scanLimit {
		list = append(list, parley.Failure{Message: parley.Message{Exchange: "user", RoutingKey: "renamed", Body: []byte("{}")}, State: parley.FailureParked})
	}
	list[2*scanLimit-1].Message.Exchange = "rare"
	if _, err := w.store.Failures().Keep(t.Context(), "orders", list); err != nil {
		t.Fatal(err)
	}
	p := w.get("/s/orders/parked?place=c&exchange=rare").must(t, http.StatusOK).has(t, "No message among those looked at so far matches the filter.", "Look at the next rows")
	next := regexp.MustCompile(`<a href="([^"]+)" rel="next">`).FindStringSubmatch(p.body)
	if next == nil {
		t.Fatal("the page does not lead on")
	}
	w.get(unescape(next[1])).must(t, http.StatusOK).has(t, "<td>rare</td>")
}

func TestListsArePagedAndNoMessageIsLeftOut(t *testing.T) {
	w := newWorld(t, nil)
	for range 2*pageSize + 10 {
		w.parked(`{}`)
	}
	seen := map[string]int{}
	path := "/s/orders/parked?place=c"
	next := regexp.MustCompile(`<a href="([^"]+)" rel="next">`)
	pages := 0
	for path != "" && pages < 10 {
		p := w.get(path).must(t, http.StatusOK)
		pages++
		for _, m := range regexp.MustCompile(`href="/s/orders/parked/(c\d+)"`).FindAllStringSubmatch(p.body, -1) {
			seen[m[1]]++
		}
		path = ""
		if m := next.FindStringSubmatch(p.body); m != nil {
			path = unescape(m[1])
		}
	}
	if pages != 3 || len(seen) != 2*pageSize+10 {
		t.Errorf("%d pages with %d messages, want 3 with %d", pages, len(seen), 2*pageSize+10)
	}
}

func TestFiltersAreInTheURL(t *testing.T) {
	w := newWorld(t, nil)
	w.parked(`{}`)
	w.park(parley.Failure{Message: parley.Message{Exchange: "shop", RoutingKey: "paid.late", Kind: parley.KindEvent, Body: []byte(`{}`)}, History: parley.History{Reason: "no such order"}})
	w.park(parley.Failure{Message: parley.Message{Exchange: "shop", RoutingKey: "paid", Kind: parley.KindEvent, Body: []byte(`{}`)}, State: parley.FailureWaiting, History: parley.History{LastError: "timeout"}})
	for query, want := range map[string]string{
		"": "c1 c2", "exchange=shop": "c2", "exchange=sh*": "c2", "routing_key=paid.*": "c2", "reason=no+such+order": "c2", "consumer=orders": "c1 c2", "consumer=other": "", "state=waiting": "c3",
		"group=abc": "",
	} {
		body := w.get("/s/orders/parked?place=c&"+query).must(t, http.StatusOK).body
		var got []string
		for _, m := range regexp.MustCompile(`name="id" value="(c\d+)"`).FindAllStringSubmatch(body, -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", query, got, want)
		}
		if want == "" && !strings.Contains(body, `class="empty"`) {
			t.Errorf("%q: an empty list says nothing", query)
		}
	}
	w.get("/s/orders/parked?place=c&exchange=%5Ba").must(t, http.StatusBadRequest).has(t, "pattern")
}

func TestABodyIsDownloadedAsAFile(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`<script>alert(1)</script>`)
	p := w.get("/s/orders/parked/"+id+"/body").must(t, http.StatusOK)
	if p.body != `<script>alert(1)</script>` {
		t.Errorf("the body is %q", p.body)
	}
	if p.header.Get("Content-Type") != "application/octet-stream" || p.header.Get("Content-Disposition") != `attachment; filename="orders-`+id+`.bin"` || p.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a browser may show the body: %v", p.header)
	}
}

func TestAMessageHasItsHistoryHeadersAndBody(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{"name": "Ada"}`)
	w.get("/s/orders/parked/"+id).must(t, http.StatusOK).has(t, "retries used up", "no such user", "user/7", "<dt>h</dt><dd>v</dd>", "&#34;name&#34;: &#34;Ada&#34;", " UTC", "parley parked show "+id)
	w.get("/s/orders/parked/c99").must(t, http.StatusNotFound)
	w.get("/s/orders/parked/x1").must(t, http.StatusNotFound)
	w.get("/s/other/parked").must(t, http.StatusNotFound)
}

func TestAMessageIsFoundByItsID(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{}`)
	for _, path := range []string{"/m/user%2F7", "/m?id=user/7", "/m/" + id} {
		w.get(path).must(t, http.StatusOK).has(t, `href="/s/orders/parked/`+id+`"`, "retries used up")
	}
	w.get("/m/none").must(t, http.StatusOK).has(t, "No failed delivery has the message id none")
}

func TestParkedRecordsOfTheOutboxAreListedEditedAndReplayed(t *testing.T) {
	w := newWorld(t, nil)
	outbox, err := parley.NewOutbox(w.store, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = w.store.InTx(t.Context(), func(tx *memory.Tx) error {
		_, err := parley.Publish(t.Context(), outbox.In(tx), remind, payload{"Ada"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := w.store.Claim(t.Context(), parley.ClaimOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := batch.Settle(t.Context(), nil, []parley.Parked{{Record: batch.Records()[0], Reason: "refused by the broker"}}); err != nil {
		t.Fatal(err)
	}
	list := w.get("/s/orders/parked?place=o").must(t, http.StatusOK).has(t, "refused by the broker")
	id := regexp.MustCompile(`value="(o\d+)"`).FindStringSubmatch(list.body)[1]
	w.get("/s/orders/parked/"+id).must(t, http.StatusOK).has(t, "Ada")
	rows, err := w.store.ListParked(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(string(rows[0].Body), "Ada", "Grace", 1)
	edited := w.post("/s/orders/parked/"+id+"/edit/preview", url.Values{"body": {body}}).must(t, http.StatusOK).form()
	edited.Set("body", body)
	w.post("/s/orders/parked/"+id+"/edit/confirm", edited).must(t, http.StatusOK)
	p := w.post("/s/orders/parked/preview", preview("replay", id)).must(t, http.StatusOK)
	w.post("/s/orders/parked/confirm", p.form()).must(t, http.StatusOK)
	if got := w.store.Pending(); len(got) != 1 || !strings.Contains(string(got[0].Body), "Grace") {
		t.Errorf("pending are %v, want the edited record", got)
	}
}

func TestAParkedQueueIsReadOnlyOnDemandAndItsMessagesAreReplayed(t *testing.T) {
	w := newWorld(t, func(s *Source, _ *Options) {
		s.ParkedQueues = []ParkedQueue{{Queue: "orders", Consumer: "orders", Secrets: [][]byte{[]byte("0123456789abcdef")}}}
	})
	topology := parley.RetryTopology("orders", nil, nil)
	topology.Queues = append(topology.Queues, parley.Queue{Name: "orders"})
	topology.Exchanges = append(topology.Exchanges, parley.Exchange{Name: "user"})
	topology.Bindings = append(topology.Bindings, parley.Binding{Queue: "orders", Exchange: "user"})
	if err := w.broker.Declare(t.Context(), topology); err != nil {
		t.Fatal(err)
	}
	w.get("/s/orders/parked?place=q:orders").must(t, http.StatusOK).has(t, "The queue has 0 messages", "Look into the queue")
	w.post("/s/orders/parked/look", url.Values{"place": {"q:orders"}}).must(t, http.StatusOK).has(t, "Nothing is parked here")

	w.parkInQueue(topology)
	w.get("/s/orders/parked?place=q:orders").must(t, http.StatusOK).has(t, "The queue has 1 messages")
	look := w.post("/s/orders/parked/look", url.Values{"place": {"q:orders"}}).must(t, http.StatusOK)
	look.has(t, "no such user", "A message in a queue is edited with a command", "parley parked edit qm,7")
	p := w.post("/s/orders/parked/preview", url.Values{"place": {"q:orders"}, "id": {"qm,7"}, "action": {"replay"}}).must(t, http.StatusOK)
	w.post("/s/orders/parked/confirm", p.form()).must(t, http.StatusOK).has(t, "Replayed: 1 message.")
	if n, _, err := w.broker.QueueLen(t.Context(), "orders"); err != nil || n != 1 {
		t.Errorf("%d messages are in the queue (%v), want the replayed one", n, err)
	}
}

// parkInQueue lets a consumer without a database park the message m,7.
func (w *world) parkInQueue(topology parley.Topology) {
	w.t.Helper()
	router := parley.NewRouter()
	router.Handle("user", "renamed", parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return parley.Park(errors.New("no such user")) }))
	consumer, err := parley.NewConsumer(w.broker, router, &parley.ConsumerConfig{
		Queue: "orders", Topology: topology, Secrets: [][]byte{[]byte("0123456789abcdef")}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	m := parley.Message{Exchange: "user", RoutingKey: "renamed", Kind: parley.KindEvent, ID: "m,7", Body: []byte(`{"eventId": 1}`)}
	for _, err := range w.broker.Publish(ctx, []parley.Message{m}) {
		if err != nil {
			w.t.Error(err)
		}
	}
	parked := func() bool {
		n, _, err := w.broker.QueueLen(ctx, parley.ParkedQueue("orders"))
		return err == nil && n == 1
	}
	for deadline := time.Now().Add(30 * time.Second); !parked() && time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
	}
	cancel()
	if err := <-done; err != nil {
		w.t.Error(err)
	}
}
