//go:build unix

package faulttests_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// history is a run without faults: three events each on two exchanges.
func history() evidence {
	e := evidence{parked: map[int64]bool{}, effects: map[int64]int{}}
	for n := int64(1); n <= 6; n++ {
		exchange := []string{"a", "b"}[n%2]
		e.ledger = append(e.ledger, entry{number: n, exchange: exchange, event: 10 + n, fate: committed})
		e.arrivals = append(e.arrivals, arrival{number: n, exchange: exchange, event: 10 + n, id: "id"})
		e.effects[n] = 1
	}
	return e
}

func TestTheCheckerSeesEachKindOfFault(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(e *evidence)
		want   func(f findings) []int64
	}{
		{"lost", func(e *evidence) { e.arrivals = slices.Delete(e.arrivals, 2, 3) }, func(f findings) []int64 { return f.lost }},
		{"rolled back", func(e *evidence) { e.ledger[2].fate = rolledBack }, func(f findings) []int64 { return f.phantom }},
		{"unknown", func(e *evidence) { e.ledger = slices.Delete(e.ledger, 2, 3) }, func(f findings) []int64 { return f.phantom }},
		{"cancelled", func(e *evidence) { e.ledger[2].fate = cancelled }, func(f findings) []int64 { return f.revived }},
		{"doubled", func(e *evidence) { e.arrivals = append(e.arrivals, e.arrivals[2]) }, func(f findings) []int64 { return f.doubled }},
		{"renamed", func(e *evidence) {
			again := e.arrivals[2]
			again.id = "other"
			e.arrivals = append(e.arrivals, again)
		}, func(f findings) []int64 { return f.renamed }},
		{"reordered", func(e *evidence) {
			e.arrivals[2], e.arrivals[4] = e.arrivals[4], e.arrivals[2]
		}, func(f findings) []int64 { return f.reordered }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := history()
			c.change(&e)
			if got := c.want(e.inQueue()); !slices.Equal(got, []int64{3}) {
				t.Errorf("found %v, want event 3", got)
			}
		})
	}
}

func TestTheCheckerFindsNothingInARunWithoutFaults(t *testing.T) {
	e := history()
	e.ledger = append(e.ledger, entry{number: 7, fate: cancelled}, entry{number: 8, fate: rolledBack}, entry{number: 9, fate: committed})
	e.parked[9], e.effects[9] = true, 1
	for _, f := range []findings{e.inQueue(), e.inEffect()} {
		if faults := f.faults(); len(faults)+len(f.doubled) != 0 || f.events != 7 {
			t.Errorf("%d events: %v, doubled %v; want 7 without a fault", f.events, faults, f.doubled)
		}
	}
}

func TestTheCheckerSeesMissingAndRepeatedEffects(t *testing.T) {
	e := history()
	delete(e.effects, 2)
	e.effects[4], e.effects[99] = 3, 1
	f := e.inEffect()
	if !slices.Equal(f.lost, []int64{2}) || !slices.Equal(f.doubled, []int64{4, 4}) || !slices.Equal(f.phantom, []int64{99}) {
		t.Errorf("lost %v, doubled %v, phantom %v; want 2, twice 4 and 99", f.lost, f.doubled, f.phantom)
	}
}

// A killed relay repeats a run of its sent events. The first arrivals stay in order nevertheless.
func TestTheCheckerAllowsAnyRepetitionOfWhatHasArrived(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := history()
		all := slices.Clone(e.arrivals)
		e.arrivals = nil
		repeated := 0
		for sent := 0; sent < len(all); {
			size := rapid.IntRange(1, len(all)-sent).Draw(t, "size")
			e.arrivals = append(e.arrivals, all[sent:sent+size]...)
			if rapid.Bool().Draw(t, "killed") && repeated < 20 {
				repeated += size
				continue
			}
			sent += size
		}
		f := e.inQueue()
		if faults := f.faults(); len(faults) != 0 || len(f.doubled) > repeated {
			t.Fatalf("%v, %d doubled, %d repeated", faults, len(f.doubled), repeated)
		}
	})
}
