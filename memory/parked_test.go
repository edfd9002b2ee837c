package memory_test

import (
	"errors"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// parkOne parks a record with an event's body and returns its id in the list.
func parkOne(t *testing.T, s *memory.Store) int64 {
	t.Helper()
	tx := begin(t, s)
	insert(t, s, tx, parley.Record{Message: parley.Message{Exchange: "user", Kind: parley.KindEvent, Body: []byte(`{"a": 1}`), Headers: map[string]any{"h": []any{"x"}}}})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Settle(t.Context(), nil, []parley.Parked{{Record: b.Records()[0], Reason: "refused"}}); err != nil {
		t.Fatal(err)
	}
	list, err := s.ListParked(t.Context(), 0, 10)
	if err != nil || len(list) != 1 || list[0].Reason != "refused" {
		t.Fatalf("parked %+v (%v), want the record", list, err)
	}
	list[0].Body[2] = '!'
	list[0].Headers["h"].([]any)[0] = "!"
	return list[0].ID
}

func TestAListOfParkedRecordsIsACopy(t *testing.T) {
	s := memory.NewStore()
	parkOne(t, s)
	list, err := s.ListParked(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if h := list[0].Headers["h"].([]any)[0]; list[0].Body[2] == '!' || h != "x" {
		t.Errorf("body %s and header %v: a reader of the list has changed the record", list[0].Body, h)
	}
}

func TestOnlyABodyThatCanBeSentReplacesThatOfAParkedRecord(t *testing.T) {
	s := memory.NewStore()
	id := parkOne(t, s)
	if err := s.EditParked(t.Context(), id, []byte(`[1]`)); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("a body that is no object: %v, want ErrInvalid", err)
	}
	if err := s.EditParked(t.Context(), id+1, []byte(`{}`)); err == nil {
		t.Error("a record that is not parked was edited")
	}
	body := []byte(`{"a": 2}`)
	if err := s.EditParked(t.Context(), id, body); err != nil {
		t.Fatal(err)
	}
	body[2] = '!'
	if n, err := s.ReplayParked(t.Context(), []int64{id, id + 1}); n != 1 || err != nil {
		t.Fatalf("replayed %d (%v), want 1", n, err)
	}
	if p := s.Pending(); len(p) != 1 || string(p[0].Body) != `{"eventId": 1, "a": 2}` {
		t.Errorf("pending %+v, want the edited record", p)
	}
	if n, err := s.DropParked(t.Context(), []int64{id}); n != 0 || err != nil {
		t.Errorf("dropped %d (%v), want none: it was replayed", n, err)
	}
}
