package parleytest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

var publishPromises = []brokerPromise{
	{"ReadyReturnsWhenConnected", readyReturns},
	{"NothingToPublishIsFine", nothingToPublishIsFine},
	{"UnroutableIsReported", unroutableIsReported},
	{"MissingExchangeIsReported", missingExchangeIsReported},
	{"RefusedDoesNotStopOthers", refusedDoesNotStopOthers},
	{"PublishKeepsOrder", publishKeepsOrder},
	{"ConcurrentPublishersLoseNothing", concurrentPublishersLoseNothing},
	{"PropertiesAndHeadersSurvive", messagePropertiesSurvive},
	{"MissingPropertiesStayMissing", messageWithoutPropertiesSurvives},
	{"HeaderTypesSurvive", headerTypesSurvive},
	{"BodiesOfAllSizesSurvive", bodiesOfAllSizesSurvive},
	{"PublishedMessageIsACopy", publishedMessageIsACopy},
}

// wantOutcomes compares outcomes with the sentinels that they must match; nil means accepted.
func (b *brokerTest) wantOutcomes(outcomes []error, want ...error) {
	b.Helper()
	if len(outcomes) != len(want) {
		b.Fatalf("%d messages have %d outcomes: %v", len(want), len(outcomes), outcomes)
	}
	for i := range want {
		if !errors.Is(outcomes[i], want[i]) {
			b.Errorf("the outcome of message %d is %v, want %v", i, outcomes[i], want[i])
		}
	}
}

func readyReturns(b *brokerTest) {
	b.must(b.broker.Ready(b.ctx), "ready")
}

func nothingToPublishIsFine(b *brokerTest) {
	if outcomes := b.broker.Publish(b.ctx, nil); outcomes != nil {
		b.Errorf("no message has the outcomes %v", outcomes)
	}
}

func unroutableIsReported(b *brokerTest) {
	ex := b.exchange(parley.ExchangeTopic)
	q := b.bound(ex, "good")
	var batch []parley.Message
	want := make([]error, 200)
	var good []string
	for i := range want {
		key := "good"
		if i%7 == 3 {
			key, want[i] = "bad", parley.ErrUnroutable
		} else {
			good = append(good, fmt.Sprint(i))
		}
		batch = append(batch, message(ex, key, fmt.Sprint(i)))
	}
	outcomes := b.broker.Publish(b.ctx, batch)
	b.wantOutcomes(outcomes, want...)
	b.wantIDs(q, "the routable messages", good...)
	if e, ok := errors.AsType[*parley.UnroutableError](outcomes[3]); !ok || e.Exchange != ex || e.RoutingKey != "bad" {
		b.Errorf("the outcome is %#v, want the exchange and routing key of the message", outcomes[3])
	}
	// The same with messages without an id and with repeated ids.
	outcomes = b.broker.Publish(b.ctx, []parley.Message{
		message(ex, "bad", ""), message(ex, "good", ""), message(ex, "good", "x"), message(ex, "bad", "x"), message(ex, "good", "x"),
	})
	b.wantOutcomes(outcomes, parley.ErrUnroutable, nil, nil, parley.ErrUnroutable, nil)
}

func missingExchangeIsReported(b *brokerTest) {
	ex := b.exchange(parley.ExchangeTopic)
	q := b.bound(ex, "#")
	nowhere := unique("nowhere")
	b.forget(nowhere, deleter.DeleteExchange) // drivers may declare it
	for range 2 {
		outcomes := b.broker.Publish(b.ctx, []parley.Message{message(ex, "a", "1"), message(nowhere, "a", "2"), message(ex, "a", "3")})
		if len(outcomes) != 3 {
			b.Fatalf("3 messages have the outcomes %v", outcomes)
		}
		if !errors.Is(outcomes[1], parley.ErrUnroutable) && !errors.Is(outcomes[1], parley.ErrRefused) {
			b.Errorf("publish to a missing exchange: %v, want ErrRefused, or ErrUnroutable if the driver declares it", outcomes[1])
		}
		b.wantOutcomes([]error{outcomes[0], outcomes[2]}, nil, nil)
		b.wantIDs(q, "the others", "1", "3")
	}
}

func refusedDoesNotStopOthers(b *brokerTest) {
	ex := b.exchange(parley.ExchangeTopic)
	q := b.bound(ex, "#")
	long := strings.Repeat("ü", 128) // 256 bytes
	with := func(change func(m *parley.Message)) parley.Message {
		m := message(ex, "a", "bad")
		change(&m)
		return m
	}
	outcomes := b.broker.Publish(b.ctx, []parley.Message{
		message(ex, "a", "1"),
		with(func(m *parley.Message) { m.RoutingKey = long }),
		with(func(m *parley.Message) { m.Exchange = long }),
		with(func(m *parley.Message) { m.ID = long }),
		with(func(m *parley.Message) { m.CorrelationID = long }),
		message(ex, "a", "2"),
		with(func(m *parley.Message) { m.Headers = map[string]any{"h": struct{ A int }{1}} }),
		with(func(m *parley.Message) { m.Headers = map[string]any{long: "name"} }),
		message(ex, long[:254], "3"),
	})
	no := parley.ErrRefused
	b.wantOutcomes(outcomes, nil, no, no, no, no, nil, no, no, nil)
	b.wantIDs(q, "the others", "1", "2", "3")
}

func publishKeepsOrder(b *brokerTest) {
	const n = 2000
	ex := b.exchange(parley.ExchangeTopic)
	q := b.bound(ex, "#")
	var want []string
	batch := messages(ex, "a.b", n)
	for _, m := range batch {
		want = append(want, m.ID)
	}
	for len(batch) > 0 {
		size := min(1+len(batch)%700, len(batch))
		b.publish(batch[:size]...)
		batch = batch[size:]
	}
	b.wantIDs(q, "published one after another", want...)
}

func concurrentPublishersLoseNothing(b *brokerTest) {
	const publishers, each = 16, 40
	ex := b.exchange(parley.ExchangeTopic)
	q := b.bound(ex, "good.#")
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%02d-%02d", p, i)
				outcomes := b.broker.Publish(b.ctx, []parley.Message{message(ex, "good.a", id), message(ex, "bad", id)})
				if len(outcomes) != 2 || outcomes[0] != nil || !errors.Is(outcomes[1], parley.ErrUnroutable) {
					b.Errorf("message %s and an unroutable one have the outcomes %v", id, outcomes)
				}
			}
		})
	}
	wg.Wait()
	last := map[string]string{}
	all := b.collect(q)
	for _, d := range all {
		publisher, n, _ := strings.Cut(d.ID, "-")
		if n <= last[publisher] && last[publisher] != "" {
			b.Errorf("message %s of publisher %s arrived after %s", n, publisher, last[publisher])
		}
		last[publisher] = n
	}
	if len(all) != publishers*each {
		b.Errorf("published %d messages, the queue has %d", publishers*each, len(all))
	}
}

func messagePropertiesSurvive(b *brokerTest) {
	ex := b.exchange(parley.ExchangeTopic)
	q := b.bound(ex, "#")
	sent := parley.Message{
		Exchange: ex, RoutingKey: "größe.ü", ID: unique("message"), Kind: parley.KindEvent, AppID: "shop",
		CorrelationID: "c-1", ReplyTo: "answers", ContentType: "application/json", ContentEncoding: "utf-8",
		Timestamp: time.Now().Add(-time.Hour).Truncate(time.Second),
		Headers:   map[string]any{parley.HeaderKey: "user-7", "empty": "", "text": "héllo \U0001F600"},
		Body:      []byte(`{"a": "ü", "n": 12345678901234567890}`),
	}
	b.publish(sent)
	got := b.collect(q)[0]
	sameProperties(b.T, &got.Message, &sent)
	if string(got.Body) != string(sent.Body) {
		b.Errorf("the body %s arrived as %s", sent.Body, got.Body)
	}
	if !maps.Equal(got.Headers, sent.Headers) {
		b.Errorf("the headers %v arrived as %v", sent.Headers, got.Headers)
	}
	if !got.Timestamp.Equal(sent.Timestamp) {
		b.Errorf("the Timestamp %v arrived as %v", sent.Timestamp, got.Timestamp)
	}
	if got.Queue != q || got.Redelivered || got.Attempt != 1 {
		b.Errorf("delivered from queue %q, redelivered %t, attempt %d, want %q, false and 1", got.Queue, got.Redelivered, got.Attempt, q)
	}
}

func messageWithoutPropertiesSurvives(b *brokerTest) {
	q := b.queue(parley.Queue{})
	sent := parley.Message{RoutingKey: q, Body: []byte(`{}`)}
	b.publish(sent)
	got := b.collect(q)[0]
	sent.ContentType = parley.ContentType // the default on the wire
	sameProperties(b.T, &got.Message, &sent)
	if len(got.Headers) != 0 || !got.Timestamp.IsZero() {
		b.Errorf("a message without headers and time arrived with %v and %v", got.Headers, got.Timestamp)
	}
}

func headerTypesSurvive(b *brokerTest) {
	q := b.queue(parley.Queue{})
	sent := message("", q, "1")
	at := time.Now().UTC().Truncate(time.Second)
	sent.Headers = map[string]any{
		"nil": nil, "true": true, "false": false, "text": "ü", "bytes": []byte{0, 1, 255}, "int": int64(-1 << 60),
		"float": 1.5, "time": at, "list": []any{"a", int64(1), nil, []any{true}},
		"table": map[string]any{"a": "b", "n": map[string]any{"c": int64(2)}},
	}
	b.publish(sent)
	got := b.collect(q)[0].Headers
	if t, ok := got["time"].(time.Time); !ok || !t.Equal(at) {
		b.Errorf("the time %v arrived as %v", at, got["time"])
	}
	for name, want := range sent.Headers {
		if name != "time" && !reflect.DeepEqual(got[name], want) {
			b.Errorf("header %q %#v arrived as %#v", name, want, got[name])
		}
	}
	if len(got) != len(sent.Headers) {
		b.Errorf("%d headers arrived as %d: %v", len(sent.Headers), len(got), got)
	}
}

func bodiesOfAllSizesSurvive(b *brokerTest) {
	q := b.queue(parley.Queue{})
	sizes := []int{0, 1, 4096, 131_072 - 8, 131_072, 131_073, 2 << 20} // RabbitMQ's frames have 131,072 bytes
	var batch []parley.Message
	for i, size := range sizes {
		m := message("", q, fmt.Sprint(i))
		m.Body = bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size]
		batch = append(batch, m)
	}
	b.publish(batch...)
	got := b.collect(q)
	if len(got) != len(sizes) {
		b.Fatalf("published %d messages, the queue has %d", len(sizes), len(got))
	}
	for i := range batch {
		if !bytes.Equal(got[i].Body, batch[i].Body) {
			b.Errorf("a body of %d bytes arrived with %d bytes, or with other content", sizes[i], len(got[i].Body))
		}
	}
}

func publishedMessageIsACopy(b *brokerTest) {
	ex := b.exchange(parley.ExchangeFanout)
	queues := []string{b.bound(ex, ""), b.bound(ex, "")}
	sent := message(ex, "", "1")
	sent.Headers = map[string]any{"h": "before"}
	body := slices.Clone(sent.Body)
	b.publish(sent)
	sent.Body[0] = 'X'
	sent.SetHeader("h", "after")
	for _, q := range queues {
		got := b.collect(q)[0]
		if !bytes.Equal(got.Body, body) || got.Header("h") != "before" {
			b.Errorf("a change by the publisher after Publish, or by another receiver, reached the queue: %s %v", got.Body, got.Headers)
		}
		got.Body[0] = 'Y'
		got.SetHeader("h", "changed by its receiver")
	}
}
