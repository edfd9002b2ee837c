package memory

import (
	"cmp"
	"slices"
)

// An idQueue holds rows in the order of their ids.
type idQueue struct {
	rows []*row // rows[head:] are in the queue
	head int
}

func (q *idQueue) waiting() []*row { return q.rows[q.head:] }

// insert puts r in its place, which is nearly always the end. Exceptions are a transaction that
// commits after a younger one, and rows that a relay releases.
func (q *idQueue) insert(r *row) {
	waiting := q.waiting()
	if n := len(waiting); n == 0 || waiting[n-1].Record.ID < r.Record.ID {
		q.rows = append(q.rows, r)
		return
	}
	i, _ := slices.BinarySearchFunc(waiting, r.Record.ID, func(o *row, id int64) int { return cmp.Compare(o.Record.ID, id) })
	if q.head == 0 {
		q.rows = slices.Insert(q.rows, i, r)
		return
	}
	q.head--
	copy(q.rows[q.head:], waiting[:i])
	q.rows[q.head+i] = r
}

// take removes and returns up to limit rows that ok accepts, from the front.
func (q *idQueue) take(limit int, ok func(*row) bool) []*row {
	var taken, skipped []*row
	i := q.head
	for ; i < len(q.rows) && len(taken) < limit; i++ {
		switch r := q.rows[i]; {
		case r.deleted: // while it was in the queue
		case ok(r):
			taken = append(taken, r)
		default:
			skipped = append(skipped, r)
		}
	}
	// The skipped rows move up to the rows that follow.
	head := i - len(skipped)
	copy(q.rows[head:i], skipped)
	clear(q.rows[q.head:head])
	q.head = head
	if q.head >= 1024 && q.head*2 >= len(q.rows) {
		n := copy(q.rows, q.waiting())
		clear(q.rows[n:])
		q.rows, q.head = q.rows[:n], 0
	}
	return taken
}
