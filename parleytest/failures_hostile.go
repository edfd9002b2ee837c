package parleytest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-go/parley"
)

func hostilePromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "EveryMessageIsKeptExactly", run: everyMessageIsKeptExactly[Tx]},
		{name: "LargeBodiesAreKept", run: largeBodiesAreKept[Tx]},
		{name: "ErrorsMayHaveAnyTextAndLength", run: errorsMayHaveAnyText[Tx]},
		{name: "IdentitiesAndConsumersMayHaveAnyText", run: identitiesMayHaveAnyText[Tx]},
	}
}

func manyPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "ManyDueRowsAreClaimedInOrder", run: manyDueRows[Tx]},
		{name: "FollowersOfALongKeyDoNotSlowClaims", run: longKey[Tx]},
	}
}

const rubbish = "\x00\xff\xfe\x80 'x' \"y\" \\ % _ ; \r\n \u2028 \U0001F600 \xc3\x28"

// strangeMessages are unusual messages that senders have published, by what is unusual.
func strangeMessages() map[string]parley.Message {
	deep := any("bottom")
	for range 30 { // a table and an array each
		deep = map[string]any{"a": []any{deep}}
	}
	text := strings.Repeat(rubbish, 10)
	return map[string]parley.Message{
		"nothing at all": {},
		"an empty body":  {Exchange: "orders", RoutingKey: "placed", Body: []byte{}},
		"any bytes everywhere": {
			Exchange: text, RoutingKey: text, ID: text, Kind: parley.Kind(text), AppID: text, CorrelationID: text, ReplyTo: text,
			ContentType: text, ContentEncoding: text, UserID: text, Body: []byte(text),
			Headers: map[string]any{text: text, "": "", "bytes": []byte(text)},
		},
		"every property": {
			Exchange: "orders", RoutingKey: "placed.vip", ID: "m-1", Kind: parley.KindCall, AppID: "shop", CorrelationID: "c-1",
			ReplyTo: "replies", ContentType: "application/json", ContentEncoding: "gzip", UserID: "guest", Priority: 255,
			Expiration: 90 * time.Second, Timestamp: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Body: []byte(`{"n": 12345678901234567890}`),
		},
		"every type of header": {Headers: map[string]any{
			"nil": nil, "true": true, "false": false, "text": "t", "bytes": []byte{0, 1, 255}, "no bytes": []byte{},
			"largest": int64(math.MaxInt64), "smallest": int64(math.MinInt64), "float": -1.5e-300, "infinite": math.Inf(-1), "minus zero": math.Copysign(0, -1),
			"time":  time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
			"array": []any{int64(1), "a", nil, []any{}, map[string]any{}}, "table": map[string]any{"a": map[string]any{"b": true}},
		}},
		"no headers but a table": {Headers: map[string]any{}},
		"the year 1":             {Timestamp: time.Date(1, 2, 3, 4, 5, 6, 0, time.UTC), Headers: map[string]any{"at": time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)}},
		"the year 9999":          {Timestamp: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), Headers: map[string]any{"at": time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}},
		"the largest expiration": {Expiration: math.MaxInt64},
		"deep nesting":           {Headers: map[string]any{"deep": deep}},
		"long headers":           {Headers: map[string]any{"x": strings.Repeat("x", 1<<20)}},
		"long keys":              {Exchange: strings.Repeat("e", 255), RoutingKey: strings.Repeat("r", 255), ID: strings.Repeat("m", 255)},
		"keys as long as no broker sends them": {
			Exchange: strings.Repeat("\u00fc", 5000), RoutingKey: strings.Repeat("r", 70_000), ID: strings.Repeat("\x00", 5000),
			CorrelationID: strings.Repeat("\xff", 5000),
		},
	}
}

func everyMessageIsKeptExactly[Tx any](f *failureTest[Tx]) {
	messages := strangeMessages()
	names := slices.Sorted(maps.Keys(messages))
	var all []parley.Failure
	for _, name := range names {
		o := failed("")
		o.Message = messages[name]
		all = append(all, o)
	}
	ids := f.keepIDs(all...)
	claimed := f.wantDue("unusual messages", ids...)
	rows := f.list(parley.FailureQuery{Consumer: billing})
	for i, name := range names {
		want := messages[name]
		if err := differs(&claimed[i].Message, &want); err != nil {
			f.Errorf("%s: the claimed message %v", name, err)
		}
		if got := f.get(ids[i]).Message; differs(&got, &want) != nil {
			f.Errorf("%s: the message of Get %v", name, differs(&got, &want))
		}
		want.Body = nil
		if err := differs(&rows[i].Message, &want); err != nil {
			f.Errorf("%s: the message of List %v", name, err)
		}
	}
}

// sameMessage checks that a message was returned exactly.
func (f *failureTest[Tx]) sameMessage(got, want *parley.Message) {
	f.Helper()
	if err := differs(got, want); err != nil {
		f.Errorf("the message %v", err)
	}
}

// differs returns an error that describes how got differs from want. A nil body equals an empty one.
func differs(got, want *parley.Message) error {
	if !bytes.Equal(got.Body, want.Body) {
		return fmt.Errorf("has the body %.80q, want %.80q", got.Body, want.Body)
	}
	g, w := *got, *want
	g.Body, w.Body = nil, nil
	if reflect.DeepEqual(g, w) {
		return nil
	}
	return fmt.Errorf("has the envelope %.500q, want %.500q", fmt.Sprintf("%+v", g), fmt.Sprintf("%+v", w))
}

func largeBodiesAreKept[Tx any](f *failureTest[Tx]) {
	o := parked(failed(""))
	o.Message.Body = bytes.Repeat([]byte("0123456\x00"), 1<<20) // 8 MiB
	id := f.keepIDs(o)[0]
	f.replay(parley.FailureQuery{}, 0, 1)
	c := f.claimOne("8 MiB", lasting)
	f.sameMessage(&c.Message, &o.Message)
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, History: c.History})
	if row := f.get(id); row.Size != 8<<20 || !bytes.Equal(row.Message.Body, o.Message.Body) {
		f.Errorf("the body changed in a retry; its size is %d", row.Size)
	}
}

func errorsMayHaveAnyText[Tx any](f *failureTest[Tx]) {
	beginning := "cannot reach the bank: " + strings.Repeat("x", 77)
	text := beginning + strings.Repeat(rubbish, 1<<20/len(rubbish))
	h := parley.History{Attempts: 1, FirstError: text, LastError: text, Reason: text, FirstFailure: microseconds(), LastFailure: microseconds()}
	o := failed(`{}`)
	o.History = h
	id := f.keepIDs(o)[0]
	check := func(what string) {
		f.Helper()
		row := f.get(id)
		for _, got := range []string{row.History.FirstError, row.History.LastError, row.History.Reason} {
			if !strings.HasPrefix(got, beginning) || !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
				f.Errorf("%s: an error of 1 MiB was kept as %.200q, want valid text with the same beginning", what, got)
			}
		}
	}
	check("kept")
	c := f.claimOne("one row", lasting)
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailureRetry, History: h})
	check("after a retry")
	c = f.claimOne("after the retry", lasting)
	f.settle(c.FailureClaim, parley.FailureOutcome{Action: parley.FailurePark, History: h})
	check("parked")
}

func identitiesMayHaveAnyText[Tx any](f *failureTest[Tx]) {
	const consumer = "bill'ing \U0001F600 \\ %"
	for _, identity := range []string{"id:'\"\\%_", "id: ", "id:\U0001F600", "id:" + strings.Repeat("\u00fc", 498)} {
		o := parked(identified(identity))
		kept := f.keep(consumer, o)[0]
		if again := f.keep(consumer, o)[0]; again.ID != kept.ID || !again.Repeat {
			f.Errorf("a repeat with the identity %.20q was kept as %+v, want row %d", identity, again, kept.ID)
		}
		if row := f.get(kept.ID); row.Identity != identity || row.Consumer != consumer {
			f.Errorf("row %d has identity %q and consumer %q, want %q and %q", row.ID, row.Identity, row.Consumer, identity, consumer)
		}
	}
}

func manyDueRows[Tx any](f *failureTest[Tx]) {
	f.fill(f.Rows, failed)
	last, n := int64(0), 0
	for {
		claimed := f.claim(500, lasting)
		if len(claimed) == 0 {
			break
		}
		for _, c := range claimed {
			if c.ID <= last {
				f.Fatalf("row %d was claimed after row %d, want the oldest one first", c.ID, last)
			}
			last = c.ID
			n++
		}
	}
	if n != f.Rows {
		f.Errorf("%d of %d due rows were claimed", n, f.Rows)
	}
	f.wantStats(billing, 0, 0, min(int64(n), parley.FailureStatsCap), 0)
}

// longKey only checks that nothing fails. Benchmarks measure the time.
func longKey[Tx any](f *failureTest[Tx]) {
	f.fill(f.Rows, func(body string) parley.Failure {
		o := failed(body)
		o.Key = "user-7"
		return o
	})
	ctx, cancel := context.WithTimeout(f.ctx, failurePatience/2)
	defer cancel()
	last := int64(0)
	for range 20 {
		o := parley.FailureClaimOptions{Limit: 10, KeyRun: 10, Owner: "w", Lease: lasting}
		claimed, err := f.Failures.Claim(ctx, billing, o)
		f.must(err, "claim from a long key")
		if len(claimed) != 10 {
			f.Fatalf("a run has %d rows, want 10", len(claimed))
		}
		for _, c := range claimed {
			if c.ID <= last {
				f.Fatalf("row %d was claimed after row %d", c.ID, last)
			}
			last = c.ID
			f.done(c)
		}
	}
}

// fill keeps n failures.
func (f *failureTest[Tx]) fill(n int, make func(body string) parley.Failure) {
	f.Helper()
	for from := 0; from < n; from += 500 {
		var batch []parley.Failure
		for i := from; i < min(n, from+500); i++ {
			batch = append(batch, make(fmt.Sprintf(`{"n": %d}`, i)))
		}
		f.keep(billing, batch...)
	}
}
