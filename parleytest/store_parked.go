package parleytest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

func parkedPromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "ParkedCanBeListed", run: parkedCanBeListed[Tx]},
		{name: "ParkedKeepsTheWholeMessage", run: parkedKeepsTheWholeMessage[Tx]},
		{name: "ParkedCanBeReplayedWithItsIdentity", run: parkedCanBeReplayed[Tx]},
		{name: "ParkedCanBeEdited", run: parkedCanBeEdited[Tx]},
		{name: "ParkedCanBeDropped", run: parkedCanBeDropped[Tx]},
	}
}

// park inserts the records, parks them all and returns them as the relay had them.
func (s *storeTest[Tx]) park(records ...parley.Record) []parley.Record {
	s.Helper()
	s.insert(records...)
	b := s.claim(100)
	held := b.Records()
	var parked []parley.Parked
	for _, r := range held {
		parked = append(parked, parley.Parked{Record: r, Reason: fmt.Sprintf("refused %d", r.ID)})
	}
	s.settle(b, nil, parked...)
	return held
}

func (s *storeTest[Tx]) listParked(after int64, limit int) []parley.ParkedRecord {
	s.Helper()
	parked, err := s.Store.ListParked(s.ctx, after, limit)
	s.must(err, "list parked")
	return parked
}

func parkedIDs(parked []parley.ParkedRecord) []int64 {
	ids := make([]int64, len(parked))
	for i := range parked {
		ids[i] = parked[i].ID
	}
	return ids
}

func parkedCanBeListed[Tx any](s *storeTest[Tx]) {
	if n := len(s.listParked(0, 10)); n != 0 {
		s.Fatalf("an empty store has %d parked records", n)
	}
	s.park(numbered(5)...)
	all := parkedIDs(s.listParked(0, 10))
	if len(all) != 5 || !slices.IsSorted(all) {
		s.Fatalf("parked 5 records, but List returns %v", all)
	}
	page := parkedIDs(s.listParked(all[1], 2))
	if !slices.Equal(page, all[2:4]) {
		s.Errorf("two after %d are %v, want %v", all[1], page, all[2:4])
	}
}

// parkable is an event with all properties.
func parkable() parley.Record {
	return parley.Record{Message: parley.Message{
		Exchange: "user", RoutingKey: "renamed", ID: unique("message"), Kind: parley.KindEvent, AppID: "shop",
		CorrelationID: "c-1", ContentType: "text/json", Timestamp: time.Now().Add(-time.Hour).Truncate(time.Second),
		Headers: map[string]any{parley.HeaderKey: "user-7"}, Body: []byte(`{"payload": {"name": "ü"}}`),
	}}
}

func parkedKeepsTheWholeMessage[Tx any](s *storeTest[Tx]) {
	held := s.park(parkable())[0]
	p := s.listParked(0, 10)[0]
	if p.RecordID != held.ID || p.Reason != fmt.Sprintf("refused %d", held.ID) {
		s.Errorf("record %d is parked as record %d because of %q", held.ID, p.RecordID, p.Reason)
	}
	if age := time.Since(p.ParkedAt); age.Abs() > time.Hour {
		s.Errorf("ParkedAt %v is %v ago", p.ParkedAt, age)
	}
	s.sameMessage(&p.Message, &held.Message)
}

func (s *storeTest[Tx]) sameMessage(got, want *parley.Message) {
	s.Helper()
	sameProperties(s.T, got, want)
	if string(got.Body) != string(want.Body) {
		s.Errorf("the body is %s, want %s", got.Body, want.Body)
	}
	if !maps.Equal(got.Headers, want.Headers) {
		s.Errorf("the headers are %v, want %v", got.Headers, want.Headers)
	}
	if !got.Timestamp.Equal(want.Timestamp) {
		s.Errorf("the Timestamp is %v, want %v", got.Timestamp, want.Timestamp)
	}
}

func parkedCanBeReplayed[Tx any](s *storeTest[Tx]) {
	held := s.park(parkable(), command("sms", "", `{"a": 1}`), scheduled(-time.Hour, map[string]string{"a": "b"}))
	younger := s.insert(numbered(1)...)
	ids := parkedIDs(s.listParked(0, 10))
	n, err := s.Store.ReplayParked(s.ctx, append(ids, ids[len(ids)-1]+1000))
	s.must(err, "replay")
	if n != 3 {
		s.Errorf("replayed %d records, want 3", n)
	}
	if left := len(s.listParked(0, 10)); left != 0 {
		s.Errorf("%d records are parked after the replay", left)
	}
	again := s.drain()
	slices.SortFunc(again, func(a, b parley.Record) int { return int(a.ID - b.ID) })
	if got, want := idsOf(again), append(idsOf(held), younger...); !slices.Equal(got, want) {
		s.Fatalf("after the replay a relay gets %v, want %v: records keep their ids", got, want)
	}
	for i := range held {
		s.sameMessage(&again[i].Message, &held[i].Message)
	}
	if next := s.insert(numbered(1)...); next[0] <= younger[0] {
		s.Errorf("after a replay the next record has the id %d, want one above %d", next[0], younger[0])
	}
}

func parkedCanBeEdited[Tx any](s *storeTest[Tx]) {
	held := s.park(parkable())[0]
	p := s.listParked(0, 10)[0]
	edited := fmt.Sprintf(`{"eventId": %d, "payload": {"name": "edited \u00fc", "n": 12345678901234567890}}`, held.ID)
	s.must(s.Store.EditParked(s.ctx, p.ID, []byte(edited)), "edit")
	if got := s.listParked(0, 10)[0]; string(got.Body) != edited || got.RecordID != held.ID {
		s.Errorf("after the edit record %d has the body %s, want %s", got.RecordID, got.Body, edited)
	}
	for _, body := range []string{"[1]", "\ufeff{}", "", `{"a": 1`} {
		if err := s.Store.EditParked(s.ctx, p.ID, []byte(body)); !errors.Is(err, parley.ErrInvalid) {
			s.Errorf("an event was edited to the body %q, which cannot hold its id: %v, want ErrInvalid", body, err)
		}
	}
	if got := s.listParked(0, 10)[0]; string(got.Body) != edited {
		s.Errorf("after a refused edit the body is %s, want %s", got.Body, edited)
	}
	if err := s.Store.EditParked(s.ctx, p.ID+1000, []byte(`{}`)); err == nil {
		s.Errorf("editing a parked record that does not exist reports success")
	}
	n, err := s.Store.ReplayParked(s.ctx, []int64{p.ID})
	s.must(err, "replay")
	again := s.drain()
	if n != 1 || len(again) != 1 || again[0].ID != held.ID || string(again[0].Body) != edited {
		s.Errorf("after edit and replay a relay gets %+v, want record %d with %s", again, held.ID, edited)
	}
}

func parkedCanBeDropped[Tx any](s *storeTest[Tx]) {
	s.park(numbered(3)...)
	ids := parkedIDs(s.listParked(0, 10))
	n, err := s.Store.DropParked(s.ctx, []int64{ids[0], ids[2], ids[2] + 1000})
	s.must(err, "drop")
	if n != 2 {
		s.Errorf("dropped %d records, want 2", n)
	}
	if left := parkedIDs(s.listParked(0, 10)); !slices.Equal(left, ids[1:2]) {
		s.Errorf("the records %v are still parked, want %v", left, ids[1:2])
	}
	s.wantDue("dropped records are not claimed")
}
