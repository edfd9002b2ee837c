package memory

import (
	"cmp"
	"container/heap"
	"time"
)

// A dueHeap holds rows with the one that is due first on top. Rows that are due at the same time are in the order of their ids.
type dueHeap[R dueRow] []R

// A dueRow knows its place in the heap.
type dueRow interface {
	comparable
	due() (at time.Time, id int64)
	// place is the index in the heap, or -1 if the row is not there.
	place() *int
}

func (h *dueHeap[R]) add(r R)    { heap.Push(h, r) }
func (h *dueHeap[R]) remove(r R) { heap.Remove(h, *r.place()) }

// moved restores the order after the due time of r has changed.
func (h *dueHeap[R]) moved(r R) { heap.Fix(h, *r.place()) }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h dueHeap[R]) Len() int { return len(h) }

func (h dueHeap[R]) Less(i, j int) bool { return sooner(h[i], h[j]) < 0 }

func (h dueHeap[R]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i, j
}

// Push implements heap.Interface.
func (h *dueHeap[R]) Push(x any) {
	r := x.(R)
	*r.place() = len(*h)
	*h = append(*h, r)
}

// Pop implements heap.Interface.
func (h *dueHeap[R]) Pop() any {
	var none R
	old := *h
	last := len(old) - 1
	r := old[last]
	old[last] = none
	*h = old[:last]
	*r.place() = -1
	return r
}

func sooner[R dueRow](a, b R) int {
	atA, idA := a.due()
	atB, idB := b.due()
	return cmp.Or(atA.Compare(atB), cmp.Compare(idA, idB))
}
