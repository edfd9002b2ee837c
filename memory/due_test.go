package memory

import (
	"slices"
	"testing"
	"time"
)

func TestADueHeapHasTheFirstDueRowOnTopAndRowsOfOneTimeInOrder(t *testing.T) {
	now := time.Now()
	var h dueHeap[*row]
	later, second, first := rowOf(1, now.Add(time.Hour)), rowOf(3, now), rowOf(2, now)
	removed := rowOf(4, now.Add(-time.Hour))
	for _, r := range []*row{later, second, removed, first} {
		h.add(r)
	}
	h.remove(removed)
	var got []int64
	for h.Len() > 0 {
		top := h[0]
		got = append(got, top.Record.ID)
		h.remove(top)
	}
	if !slices.Equal(got, []int64{2, 3, 1}) {
		t.Errorf("due in the order %v, want 2, 3, 1", got)
	}
}

func TestARowWhoseDueTimeChangedMovesInTheHeap(t *testing.T) {
	now := time.Now()
	var h dueHeap[*row]
	first, second := rowOf(1, now), rowOf(2, now.Add(time.Second))
	h.add(first)
	h.add(second)
	first.DueAt = now.Add(time.Hour)
	h.moved(first)
	if h[0] != second {
		t.Error("the row that is due later is still on top")
	}
	h.remove(first)
	if first.position != -1 || h.Len() != 1 {
		t.Errorf("the removed row has position %d, %d rows are left", first.position, h.Len())
	}
}
