package parleytest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

func insertPromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "CommittedRecordIsClaimed", run: committedRecordIsClaimed[Tx]},
		{name: "RolledBackRecordIsNeverSent", run: rolledBackRecordIsNeverSent[Tx]},
		{name: "UncommittedRecordIsNotSeen", run: uncommittedRecordIsNotSeen[Tx], sideBySide: true},
		{name: "BatchInsertIsOneTransaction", run: batchInsertIsOneTransaction[Tx]},
		{name: "ManyRecordsGoInAsTheyAre", run: manyRecordsGoInAsTheyAre[Tx]},
		{name: "RecordsComeInOrderOfTheirIDs", run: recordsComeInOrderOfTheirIDs[Tx], sideBySide: true},
		{name: "IDsStrictlyIncreaseAfterDrain", run: idsStrictlyIncreaseAfterDrain[Tx]},
		{name: "PropertiesAndHeadersSurvive", run: propertiesAndHeadersSurvive[Tx]},
		{name: "MissingPropertiesStayMissing", run: missingPropertiesStayMissing[Tx]},
		{name: "BodiesSurviveByteForByte", run: bodiesSurviveByteForByte[Tx]},
		{name: "EventsAndCallsGetTheirNumber", run: eventsAndCallsGetTheirNumber[Tx]},
		{name: "ProducersInParallelLoseNothing", run: producersInParallelLoseNothing[Tx]},
		{name: "ProducersAreNotBlockedByAHeldBatch", run: producersAreNotBlockedByAHeldBatch[Tx]},
	}
}

func committedRecordIsClaimed[Tx any](s *storeTest[Tx]) {
	ids := s.insert(command("orders", "placed", `{"n": 1}`))
	records := s.peek()
	if len(records) != 1 || records[0].ID != ids[0] || ids[0] <= 0 {
		s.Fatalf("inserted the record %v, a relay gets %v", ids, idsOf(records))
	}
	r := records[0]
	if r.Exchange != "orders" || r.RoutingKey != "placed" || string(r.Body) != `{"n": 1}` || !r.DueAt.IsZero() {
		s.Errorf("the record was read as %+v", r)
	}
	if age := time.Since(r.CreatedAt); age.Abs() > time.Hour {
		s.Errorf("CreatedAt %v is %v ago, want the time of the insertion", r.CreatedAt, age)
	}
	if !r.Timestamp.Equal(r.CreatedAt) {
		s.Errorf("a message without a Timestamp has %v, want the time of its insertion, %v", r.Timestamp, r.CreatedAt)
	}
}

func rolledBackRecordIsNeverSent[Tx any](s *storeTest[Tx]) {
	tx := s.begin()
	s.insertIn(tx, numbered(3)...)
	s.rollback(tx)
	s.wantDue("after a rollback")
	kept := s.insert(numbered(1)...)
	s.wantDue("after a rollback and a commit", kept...)
}

func uncommittedRecordIsNotSeen[Tx any](s *storeTest[Tx]) {
	tx := s.begin()
	ids := s.insertIn(tx, numbered(1)...)
	s.wantDue("before the commit")
	s.commit(tx)
	s.wantDue("after the commit", ids...)
}

func batchInsertIsOneTransaction[Tx any](s *storeTest[Tx]) {
	tx := s.begin()
	s.insertIn(tx, numbered(500)...)
	s.rollback(tx)
	s.wantDue("500 rolled back")
	ids := s.insert(numbered(500)...)
	for i := 1; i < len(ids); i++ {
		if ids[i] <= ids[i-1] {
			s.Fatalf("the ids of one insertion do not increase: %d after %d", ids[i], ids[i-1])
		}
	}
	records := s.peek()
	if !slices.Equal(idsOf(records), ids) {
		s.Fatalf("inserted 500 records, a relay gets %d, or a wrong order", len(records))
	}
	for i, r := range records {
		if want := fmt.Sprintf(`{"n": %d}`, i); string(r.Body) != want {
			s.Fatalf("record %d of the insertion has the body %s, want %s: ids and records are mixed up", i, r.Body, want)
		}
	}
}

func recordsComeInOrderOfTheirIDs[Tx any](s *storeTest[Tx]) {
	late := s.begin()
	first := s.insertIn(late, numbered(1)...)
	early := s.begin()
	second := s.insertIn(early, numbered(2)...)
	s.commit(early)
	s.commit(late)
	want := slices.Concat(first, second)
	slices.Sort(want)
	s.wantDue("the older transaction has committed last", want...)
}

func idsStrictlyIncreaseAfterDrain[Tx any](s *storeTest[Tx]) {
	last := int64(0)
	for range 3 {
		ids := s.insert(numbered(2)...)
		if ids[0] <= last || ids[1] <= ids[0] {
			s.Fatalf("got the ids %v after %d: an id must not be used twice, even after the table was empty", ids, last)
		}
		last = ids[1]
		if n := len(s.drain()); n != 2 {
			s.Fatalf("drained %d records, want 2", n)
		}
	}
}

func propertiesAndHeadersSurvive[Tx any](s *storeTest[Tx]) {
	sent := parley.Record{Message: parley.Message{
		Exchange: "größe", RoutingKey: "über.alles", ID: unique("message"), Kind: parley.KindCommand,
		AppID: "shop", CorrelationID: "c-1 \"quoted\"", ReplyTo: "answers", ContentType: "application/json",
		ContentEncoding: "utf-8", Timestamp: time.Now().Add(-time.Hour).Truncate(time.Second), Priority: 9, Expiration: 90 * time.Minute,
		Headers: map[string]any{
			parley.HeaderKey: "user-7", parley.HeaderTraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			"empty": "", "text": "héllo \\ \" 'x' \U0001F600",
		},
		Body: []byte(`{}`),
	}}
	s.insert(sent)
	got := s.peek()[0]
	if !got.Timestamp.Equal(sent.Timestamp) {
		s.Errorf("the Timestamp %v was read as %v", sent.Timestamp, got.Timestamp)
	}
	if !maps.Equal(got.Headers, sent.Headers) {
		s.Errorf("the headers %v were read as %v", sent.Headers, got.Headers)
	}
	sameProperties(s.T, &got.Message, &sent.Message)
}

// errorer is the part of testing.TB that comparisons need.
type errorer interface {
	Helper()
	Errorf(format string, args ...any)
}

// sameProperties compares everything but body, headers and time.
func sameProperties(t errorer, got, want *parley.Message) {
	t.Helper()
	for _, p := range []struct{ what, got, want string }{
		{"Exchange", got.Exchange, want.Exchange},
		{"RoutingKey", got.RoutingKey, want.RoutingKey},
		{"ID", got.ID, want.ID},
		{"Kind", string(got.Kind), string(want.Kind)},
		{"AppID", got.AppID, want.AppID},
		{"CorrelationID", got.CorrelationID, want.CorrelationID},
		{"ReplyTo", got.ReplyTo, want.ReplyTo},
		{"ContentType", got.ContentType, want.ContentType},
		{"ContentEncoding", got.ContentEncoding, want.ContentEncoding},
		{"Priority", fmt.Sprint(got.Priority), fmt.Sprint(want.Priority)},
		{"Expiration", got.Expiration.String(), want.Expiration.String()},
	} {
		if p.got != p.want {
			t.Errorf("%s %q was read as %q", p.what, p.want, p.got)
		}
	}
}

func missingPropertiesStayMissing[Tx any](s *storeTest[Tx]) {
	sent := parley.Record{Message: parley.Message{Exchange: "orders", Kind: parley.KindCommand, Body: []byte(`{}`)}}
	s.insert(sent)
	got := s.peek()[0]
	sameProperties(s.T, &got.Message, &sent.Message)
	if len(got.Headers) != 0 || len(got.Tags) != 0 {
		s.Errorf("a record without headers and tags was read with %v and %v", got.Headers, got.Tags)
	}
}

func bodiesSurviveByteForByte[Tx any](s *storeTest[Tx]) {
	bodies := []string{
		`{}`, `{"b":1,"a":2,"b":3}`, `{ "spaces" :  [ 1 , 2 ] }`, `{"id": 12345678901234567890123, "f": 1.10, "e": 1E400}`,
		`{"unicode": "größe \u00fc \ud83d\ude00 😀", "escapes": "\\ \/ \" \n \u0000"}`, `null`, `"text"`, `[1,2]`,
		`{"quote": "it's", "percent": "100%", "question": "?", "dollar": "$1", "colon": ":name"}`,
		`{"long": "` + string(make60k()) + `"}`,
	}
	var records []parley.Record
	for _, b := range bodies {
		records = append(records, command("orders", "placed", b))
	}
	s.insert(records...)
	for i, r := range s.peek() {
		if string(r.Body) != bodies[i] {
			s.Errorf("the body %.80s was read as %.80s", bodies[i], r.Body)
		}
	}
}

// make60k returns a text that is longer than MySQL's TEXT and a page of any database.
func make60k() []byte {
	text := make([]byte, 70_000)
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	return text
}

func eventsAndCallsGetTheirNumber[Tx any](s *storeTest[Tx]) {
	event := command("user", "renamed", `{"eventTime": "2026-01-02T03:04:05.000006Z", "payload": {"a": "ü"}}`)
	event.Kind = parley.KindEvent
	call := command("pricing", "quote", `{"data": 1}`)
	call.Kind = parley.KindCall
	bare := command("pricing", "quote", `{}`)
	bare.Kind = parley.KindCall
	ids := s.insert(event, call, bare)
	want := []string{
		fmt.Sprintf(`{"eventId": %d, "eventTime": "2026-01-02T03:04:05.000006Z", "payload": {"a": "ü"}}`, ids[0]),
		fmt.Sprintf(`{"id": %d, "data": 1}`, ids[1]),
		fmt.Sprintf(`{"id": %d}`, ids[2]),
	}
	for i, r := range s.peek() {
		if string(r.Body) != want[i] {
			s.Errorf("record %d is published as %s, want %s", ids[i], r.Body, want[i])
		}
	}
}

func producersInParallelLoseNothing[Tx any](s *storeTest[Tx]) {
	const producers, each = 6, 15
	var wg sync.WaitGroup
	errs := make(chan error, producers*each)
	for range producers {
		wg.Go(func() {
			for range each {
				errs <- s.produce(s.ctx)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		s.must(err, "insert beside others")
	}
	ids := idsOf(s.peek())
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != producers*each {
		s.Errorf("%d records in %d transactions, a relay gets the ids %v", producers*each, producers*each, ids)
	}
}

// produce inserts one record and returns its error, for use outside the test's goroutine.
func (s *storeTest[Tx]) produce(ctx context.Context) error {
	tx, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	if err := s.Store.Insert(ctx, tx, numbered(1)); err != nil {
		_ = s.Rollback(ctx, tx)
		return err
	}
	return s.Commit(ctx, tx)
}

func producersAreNotBlockedByAHeldBatch[Tx any](s *storeTest[Tx]) {
	held := s.insert(append(numbered(2), scheduled(-time.Hour, map[string]string{"user": "7"}))...)
	b := s.claim(100)
	if n := len(b.Records()); n != 3 {
		s.Fatalf("claimed %d records, want 3", n)
	}
	ctx, cancel := context.WithTimeout(s.ctx, patience/4)
	defer cancel()
	if err := s.produce(ctx); err != nil {
		s.Fatalf("a producer beside a held batch: %v", err)
	}
	s.settle(b, held)
	if n := len(s.peek()); n != 1 {
		s.Errorf("after the batch a relay gets %d records, want the new one", n)
	}
}

// Stores may insert many records in a special way, such as COPY.
func manyRecordsGoInAsTheyAre[Tx any](s *storeTest[Tx]) {
	records := numbered(700)
	due := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i := range records {
		r := &records[i]
		r.Exchange = fmt.Sprint("exchange ", i%3)
		switch i % 7 {
		case 1:
			r.Kind, r.Body = parley.KindEvent, fmt.Appendf(nil, `{"payload": "ü\"\\ %d"}`, i)
		case 2:
			r.SetHeader("h", "a \"quoted\" header, \\ and ü")
			r.CorrelationID, r.AppID, r.Timestamp = "c", "shop", due
		case 3:
			r.DueAt, r.Tags = due.Add(time.Duration(i)*time.Microsecond), map[string]string{"n": fmt.Sprint(i), "ü": `"`}
		case 4:
			r.RoutingKey, r.Body = "", []byte(strings.Repeat("x", 1000*i))
		}
	}
	want := slices.Clone(records)
	ids := s.insert(records...)
	if !slices.IsSorted(ids) || ids[0] == 0 {
		s.Errorf("the ids of many records are not in the order of the records: %v", ids)
	}
	got := map[int64]parley.Record{}
	for _, r := range s.drain() {
		got[r.ID] = r
	}
	for i, id := range ids {
		w, g := &want[i], got[id]
		if g.Exchange != w.Exchange || g.RoutingKey != w.RoutingKey || g.Kind != w.Kind || g.Message.ID != w.Message.ID ||
			string(g.Body) != string(parley.FinishBody(w.Kind, id, w.Body)) || !maps.Equal(g.Tags, w.Tags) || !g.DueAt.Equal(w.DueAt) ||
			g.Header("h") != w.Header("h") || g.CorrelationID != w.CorrelationID || !w.Timestamp.IsZero() && !g.Timestamp.Equal(w.Timestamp) {
			s.Fatalf("record %d of many was read as %.300v, want %.300v", i, g, *w)
		}
	}
}
