//go:build unix

package faulttests_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// A fate is the state of an event in the ledger.
type fate string

const (
	committed  fate = "committed"
	scheduled  fate = "scheduled"
	cancelled  fate = "cancelled"
	rolledBack fate = "rolled back"
)

// An entry is a line of the ledger.
type entry struct {
	number   int64
	exchange string
	event    int64 // the id in the outbox
	fate     fate
}

// An arrival is a message in the consumer's queue.
type arrival struct {
	number   int64
	exchange string
	event    int64
	id       string // message_id
}

// evidence is the result of a run.
type evidence struct {
	ledger   []entry
	arrivals []arrival // in the order of the queue
	// parked are the numbers of the events that the relay parked.
	parked map[int64]bool
	// left counts the rows still in the outbox.
	left int
	// effects counts the rows that the handler wrote, for each event.
	effects map[int64]int
}

// findings are the results of the checker. Each list holds numbers of events.
type findings struct {
	events    int
	lost      []int64 // committed, but neither arrived nor parked
	phantom   []int64 // arrived, but rolled back or unknown
	revived   []int64 // arrived although a cancel counted them
	doubled   []int64 // arrived again, once for each time
	renamed   []int64 // arrived again under another message_id
	reordered []int64 // first arrived after a later event of their exchange
	left      int
}

// inQueue compares the arrivals with the ledger.
func (e evidence) inQueue() findings {
	f := findings{left: e.left}
	fates := map[int64]entry{}
	for _, line := range e.ledger {
		fates[line.number] = line
	}
	ids, newest := map[int64]string{}, map[string]int64{}
	for _, a := range e.arrivals {
		line, known := fates[a.number]
		switch {
		case !known || line.fate == rolledBack:
			f.phantom = append(f.phantom, a.number)
			continue
		case line.fate == cancelled:
			f.revived = append(f.revived, a.number)
		}
		if id, again := ids[a.number]; again {
			f.doubled = append(f.doubled, a.number)
			if id != a.id {
				f.renamed = append(f.renamed, a.number)
			}
			continue
		}
		ids[a.number] = a.id
		if line.fate == scheduled { // these arrive in the order of their due times
			continue
		}
		if a.event < newest[a.exchange] {
			f.reordered = append(f.reordered, a.number)
		}
		newest[a.exchange] = max(newest[a.exchange], a.event)
	}
	for _, line := range e.ledger {
		if line.fate != committed && line.fate != scheduled {
			continue
		}
		f.events++
		if _, arrived := ids[line.number]; !arrived && !e.parked[line.number] {
			f.lost = append(f.lost, line.number)
		}
	}
	return f
}

// inEffect compares the effects with the ledger: each event must have one effect.
func (e evidence) inEffect() findings {
	f := findings{left: e.left}
	want := map[int64]bool{}
	for _, line := range e.ledger {
		if line.fate == committed || line.fate == scheduled {
			want[line.number] = true
			f.events++
		}
	}
	for _, n := range slices.Sorted(maps.Keys(e.effects)) {
		if !want[n] {
			f.phantom = append(f.phantom, n)
		}
		for range e.effects[n] - 1 {
			f.doubled = append(f.doubled, n)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(want)) {
		if e.effects[n] == 0 {
			f.lost = append(f.lost, n)
		}
	}
	return f
}

// faults describes each violation.
func (f findings) faults() []string {
	var out []string
	say := func(what string, numbers []int64) {
		if len(numbers) > 0 {
			out = append(out, fmt.Sprintf("%d events %s, the first of them %v", len(numbers), what, numbers[:min(5, len(numbers))]))
		}
	}
	say("lost", f.lost)
	say("arrived that were never committed", f.phantom)
	say("arrived although their cancel was counted", f.revived)
	say("arrived again with another message_id", f.renamed)
	say("out of order", f.reordered)
	if f.left > 0 {
		out = append(out, fmt.Sprintf("%d rows left in the outbox", f.left))
	}
	return out
}

// check fails the test for each violation, and for more than doubled duplicates.
func (f findings) check(t *testing.T, doubled int) {
	t.Helper()
	for _, fault := range f.faults() {
		t.Error(fault)
	}
	if len(f.doubled) > doubled {
		t.Errorf("%d duplicates, at most %d are allowed, the first of them %v", len(f.doubled), doubled, f.doubled[:min(5, len(f.doubled))])
	}
	if f.events == 0 {
		t.Error("the ledger is empty, so the test proves nothing")
	}
}

func (f findings) row(fault string, times int) row {
	return row{fault: fault, times: times, events: f.events, lost: len(f.lost), doubled: len(f.doubled), reordered: len(f.reordered)}
}
