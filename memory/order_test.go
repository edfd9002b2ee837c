package memory

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func rowOf(id int64, due time.Time) *row {
	return &row{Record: parley.Record{ID: id, DueAt: due}}
}

func rowIDs(rows []*row) (ids []int64) {
	for _, r := range rows {
		ids = append(ids, r.Record.ID)
	}
	return ids
}

// Transactions commit in another order than their ids, and relays release rows.
func TestAnIDQueueKeepsTheOrderOfIDsWhateverIsInsertedAndTaken(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var q idQueue
	var want, got []int64
	id := int64(0)
	for range 5000 {
		switch random.IntN(3) {
		case 0: // two transactions that commit in reverse
			q.insert(rowOf(id+2, time.Time{}))
			q.insert(rowOf(id+1, time.Time{}))
			want = append(want, id+1, id+2)
			id += 2
		case 1: // rows that a relay releases
			for _, r := range q.take(2, func(*row) bool { return true }) {
				q.insert(r)
			}
		default: // only even ids, as if the others were held
			taken := rowIDs(q.take(3, func(r *row) bool { return r.Record.ID%2 == 0 }))
			got = append(got, taken...)
			if !slices.IsSorted(taken) {
				t.Fatalf("taken %v, want the order of the ids", taken)
			}
		}
		if left := rowIDs(q.waiting()); !slices.IsSorted(left) {
			t.Fatalf("%v wait, want the order of the ids", left)
		}
	}
	got = append(got, rowIDs(q.waiting())...)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d rows came out of %d", len(got), len(want))
	}
}

func TestDeletedRowsLeaveAnIDQueueWithoutBeingTaken(t *testing.T) {
	var q idQueue
	gone := rowOf(1, time.Time{})
	q.insert(gone)
	q.insert(rowOf(2, time.Time{}))
	gone.deleted = true
	if taken := rowIDs(q.take(10, func(*row) bool { return true })); !slices.Equal(taken, []int64{2}) || len(q.waiting()) != 0 {
		t.Errorf("taken %v and %d wait, want row 2 and none", taken, len(q.waiting()))
	}
}
