package parleytest

import (
	"slices"
	"time"

	"github.com/parley-go/parley"
)

func reservePromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "ABacklogLeavesRoomForScheduledRecords", run: backlogLeavesRoomForScheduled[Tx]},
		{name: "ABacklogOfScheduledRecordsLeavesRoomForOthers", run: scheduledBacklogLeavesRoom[Tx]},
		{name: "NoRecordIsHeldOutsideOfASmallBatch", run: noRecordIsHeldOutsideOfASmallBatch[Tx]},
	}
}

// smallLimits are the limits at which a tenth is less than one record.
var smallLimits = []int{1, 2, 5, 9}

func many(n int, record parley.Record) []parley.Record {
	return slices.Repeat([]parley.Record{record}, n)
}

// wantRoom checks that batches of each limit contain the record.
func (s *storeTest[Tx]) wantRoom(id int64) {
	s.Helper()
	for _, mode := range []parley.RelayMode{parley.RelayModeOrdered, parley.RelayModeParallel} {
		for _, limit := range append(smallLimits, 10, 25) {
			tries := 1
			if limit == 1 {
				tries = 64 // half of these batches are reserved, at random
			}
			found := false
			for range tries {
				b := s.claimWith(parley.ClaimOptions{Mode: mode, Limit: limit})
				ids := idsOf(b.Records())
				if len(ids) != limit {
					s.Errorf("a relay in mode %s claimed %d records, want %d", mode, len(ids), limit)
				}
				found = found || slices.Contains(ids, id)
				s.release(b)
			}
			if !found {
				s.Errorf("%d batches of %d records in mode %s are without the only record of its kind", tries, limit, mode)
			}
		}
	}
}

func backlogLeavesRoomForScheduled[Tx any](s *storeTest[Tx]) {
	s.insert(numbered(30)...)
	s.wantRoom(s.insert(scheduled(-time.Hour, nil))[0])
}

func scheduledBacklogLeavesRoom[Tx any](s *storeTest[Tx]) {
	s.insert(many(30, scheduled(-time.Hour, nil))...)
	s.wantRoom(s.insert(numbered(1)...)[0])
}

func noRecordIsHeldOutsideOfASmallBatch[Tx any](s *storeTest[Tx]) {
	for _, limit := range smallLimits {
		ids := s.insert(numbered(2 * limit)...)
		ids = append(ids, s.insert(many(limit, scheduled(-time.Hour, nil))...)...)
		var all []int64
		var batches []parley.Batch
		for range 3 {
			b := s.claimWith(parley.ClaimOptions{Mode: parley.RelayModeParallel, Limit: limit})
			all = append(all, idsOf(b.Records())...)
			batches = append(batches, b)
		}
		slices.Sort(all)
		if !slices.Equal(all, ids) {
			s.Errorf("three relays with a limit of %d hold the records %v, want each of %v once", limit, all, ids)
		}
		for _, b := range batches {
			s.settle(b, idsOf(b.Records()))
		}
	}
}
