package sqlstore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestOnlyUnchangedRowsOfSentRecordsAreDeleted(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	record := func(id int64) parley.SentRecord { return parley.SentRecord{ID: id, CreatedAt: created, MessageID: "m"} }
	moved, reused := record(2), record(3)
	moved.DueAt, reused.MessageID = created.Add(time.Hour), "another"
	table := []parley.SentRecord{record(1), moved, reused} // row 4 has gone
	read := func(list string, row func(parley.SentRecord)) error {
		if list != "(1,2,3,4)" {
			t.Errorf("the rows of %s were read, want (1,2,3,4)", list)
		}
		for _, is := range table {
			row(is)
		}
		return nil
	}
	sent := []parley.SentRecord{record(1), record(2), record(3), record(4)}
	found, err := fit(sent, read)
	if err != nil || !slices.Equal(found.ids, []int64{1}) || !slices.Equal(found.others, []parley.SentRecord{moved, reused}) {
		t.Errorf("fit: %+v (%v), want row 1, and rows 2 and 3 as changed", found, err)
	}
	left, err := remaining(sent, read)
	if err != nil || !slices.Equal(left, table) {
		t.Errorf("remaining: %+v (%v), want all rows of the table", left, err)
	}
	broken := errors.New("connection lost")
	if _, err := fit(sent, func(string, func(parley.SentRecord)) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("fit: %v, want the error of the query", err)
	}
}
