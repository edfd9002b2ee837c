package parleytest

import (
	"time"

	"github.com/parley-go/parley"
)

// dueRecordsAreListedInTheOrderOfTheRelay is for stores that are a parley.DueLister.
func dueRecordsAreListedInTheOrderOfTheRelay[Tx any](s *storeTest[Tx]) {
	lister, ok := s.Store.(parley.DueLister)
	if !ok {
		return
	}
	ids := s.insert(append(numbered(2), scheduled(time.Hour, nil), scheduled(-time.Minute, nil), scheduled(-time.Hour, nil))...)
	list, err := lister.Due(s.ctx, 10)
	s.must(err, "list due records")
	want := []int64{ids[0], ids[1], ids[4], ids[3]}
	if len(list) != len(want) {
		s.Fatalf("%d records are due, want %d", len(list), len(want))
	}
	for i, r := range list {
		if r.ID != want[i] || r.Exchange == "" || r.RoutingKey == "" || r.Kind == "" || r.CreatedAt.IsZero() || r.Body != nil || (i >= 2) == r.DueAt.IsZero() {
			s.Errorf("place %d: record %+v, want that with id %d, its address, and no body", i, r, want[i])
		}
	}
	list, err = lister.Due(s.ctx, 1)
	s.must(err, "list due records")
	if len(list) != 1 || list[0].ID != want[0] {
		s.Errorf("with a limit of 1: %v, want the record %d", list, want[0])
	}
}
