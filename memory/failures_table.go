package memory

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// A failureKey has the rows of an ordering key that later rows stay behind, in the order of their ids: all except
// parked rows that do not hold. It exists as long as it has rows.
type failureKey struct {
	name        string
	owner       *failures
	first, last *failure
	running     int
}

// add puts a new or moved row into the table. It has no state yet.
func (f *Failures) add(r *failure) {
	c := f.consumers[r.Consumer]
	if c == nil {
		c = &failures{running: map[*failure]struct{}{}, keys: map[string]*failureKey{}}
		f.consumers[r.Consumer] = c
	}
	c.count++
	if f.rows[r.ID] != nil {
		return // it was only moved
	}
	f.rows[r.ID] = r
	f.order.add(r)
	if r.repeatOf != "" {
		f.repeats[r.repeatOf] = r
	}
	if r.Identity != "" {
		f.identities[r.Identity]++
	}
}

// detach removes a row from its consumer, and promotes the key.
func (f *Failures) detach(r *failure) {
	c := f.consumers[r.Consumer]
	k := r.key
	f.clear(r)
	f.unlink(r)
	if k != nil {
		f.promote(k)
	}
	if c.count--; c.count == 0 {
		delete(f.consumers, r.Consumer)
	}
}

// remove deletes a row.
func (f *Failures) remove(r *failure) {
	f.detach(r)
	f.forget(r)
}

// removeOnly deletes a row without promoting its key.
func (f *Failures) removeOnly(r *failure) {
	c := f.consumers[r.Consumer]
	f.clear(r)
	f.unlink(r)
	if c.count--; c.count == 0 {
		delete(f.consumers, r.Consumer)
	}
	f.forget(r)
}

func (f *Failures) forget(r *failure) {
	delete(f.rows, r.ID)
	f.order.removed()
	delete(f.repeats, r.repeatOf)
	if r.Identity == "" {
		return
	}
	if f.identities[r.Identity]--; f.identities[r.Identity] == 0 {
		delete(f.identities, r.Identity)
	}
}

// clear ends the state of a row.
func (f *Failures) clear(r *failure) {
	c := f.consumers[r.Consumer]
	if r.position >= 0 {
		c.due.remove(r)
	}
	if r.State == parley.FailureRunning {
		delete(c.running, r)
		if r.key != nil {
			r.key.running--
		}
	}
	r.State, r.DueAt, r.ParkedAt, r.ClaimedBy = "", time.Time{}, time.Time{}, ""
}

// park makes a row parked.
func (f *Failures) park(r *failure, holds bool) {
	f.clear(r)
	r.State, r.ParkedAt, r.Holds = parley.FailureParked, time.Now(), holds
	if holds {
		f.link(r)
	}
	k := r.key
	if !holds {
		f.unlink(r)
	}
	if k != nil {
		f.promote(k)
	}
}

// run makes a row running.
func (f *Failures) run(r *failure, owner string, due time.Time) {
	f.clear(r)
	f.consumers[r.Consumer].running[r] = struct{}{}
	if r.key != nil {
		r.key.running++
	}
	r.State, r.ClaimedBy = parley.FailureRunning, owner
	f.setDue(r, due)
}

// place makes a row waiting, or behind if an earlier row of its key goes first.
func (f *Failures) place(r *failure, due time.Time) {
	wasRunning := r.State == parley.FailureRunning
	f.clear(r)
	r.Holds = false
	f.link(r)
	k := r.key
	if k == nil || k.first == r && (wasRunning || k.running == 0) {
		f.wait(r, due)
		return
	}
	r.State = parley.FailureBehind
	f.promote(k)
}

func (f *Failures) wait(r *failure, due time.Time) {
	r.State = parley.FailureWaiting
	f.setDue(r, due)
}

// promote makes the first row of a key due if it is behind and no row of the key is running. It reports whether it did.
func (f *Failures) promote(k *failureKey) bool {
	r := k.first
	if r == nil || r.State != parley.FailureBehind || k.running > 0 {
		return false
	}
	f.wait(r, time.Now())
	return true
}

// setDue gives a row a due time.
func (f *Failures) setDue(r *failure, due time.Time) {
	r.DueAt = due
	f.consumers[r.Consumer].due.add(r)
}

// link adds a row to the list of its key. If it becomes the first one, the row that was due until then is behind.
func (f *Failures) link(r *failure) {
	if r.Key == "" || r.key != nil {
		return
	}
	c := f.consumers[r.Consumer]
	k := c.keys[r.Key]
	if k == nil {
		k = &failureKey{name: r.Key, owner: c}
		c.keys[r.Key] = k
	}
	r.key = k
	before := k.last
	for before != nil && before.ID > r.ID {
		before = before.prev
	}
	r.prev = before
	if before == nil {
		r.next, k.first = k.first, r
	} else {
		r.next, before.next = before.next, r
	}
	if r.next == nil {
		k.last = r
		return
	}
	r.next.prev = r
	if r.next.State == parley.FailureWaiting {
		f.clear(r.next)
		r.next.State = parley.FailureBehind
	}
}

// unlink removes a row from the list of its key.
func (f *Failures) unlink(r *failure) {
	k := r.key
	if k == nil {
		return
	}
	if r.prev == nil {
		k.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		k.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.key, r.prev, r.next = nil, nil, nil
	if k.first == nil {
		delete(k.owner.keys, k.name)
	}
}

// A failureList has all rows in the order of their ids. Deleted rows stay in it until they outnumber the others.
type failureList struct {
	table *Failures
	rows  []*failure
	gone  int
}

func (l *failureList) add(r *failure) { l.rows = append(l.rows, r) }

// removed notes that a row was deleted from the table.
func (l *failureList) removed() {
	l.gone++
	if l.gone > 64 && l.gone*2 > len(l.rows) {
		l.rows = slices.DeleteFunc(l.rows, func(r *failure) bool { return l.table.rows[r.ID] == nil })
		l.gone = 0
	}
}

// after yields the rows with ids greater than id. The table must not be changed meanwhile.
func (l *failureList) after(id int64) iter.Seq[*failure] {
	return func(yield func(*failure) bool) {
		i, _ := slices.BinarySearchFunc(l.rows, id+1, func(r *failure, id int64) int { return cmp.Compare(r.ID, id) })
		for _, r := range l.rows[i:] {
			if l.table.rows[r.ID] != nil && !yield(r) {
				return
			}
		}
	}
}
