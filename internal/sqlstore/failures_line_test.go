package sqlstore

import (
	"slices"
	"testing"

	"github.com/parley-go/parley"
)

func placedRow(id int64, state parley.FailureState) placedFailure {
	return placedFailure{id: id, state: state}
}

func TestOfAKeyOnlyTheFirstRowBecomesDue(t *testing.T) {
	waiting, behind, running, parked := parley.FailureWaiting, parley.FailureBehind, parley.FailureRunning, parley.FailureParked
	for name, c := range map[string]struct {
		idle, active []placedFailure
		up, down     []int64
	}{
		"no row":                            {},
		"all in order":                      {idle: []placedFailure{placedRow(2, behind)}, active: []placedFailure{placedRow(1, waiting)}},
		"the first row has gone":            {idle: []placedFailure{placedRow(2, behind), placedRow(3, behind)}, up: []int64{2}},
		"a later row is due":                {idle: []placedFailure{placedRow(1, behind)}, active: []placedFailure{placedRow(2, waiting)}, up: []int64{1}, down: []int64{2}},
		"the first is behind a running one": {idle: []placedFailure{placedRow(1, behind)}, active: []placedFailure{placedRow(2, running)}},
		"the first is parked and holds":     {idle: []placedFailure{placedRow(1, parked), placedRow(2, behind)}},
	} {
		up, down := toReorder(map[string]*line{"k": {idle: c.idle, active: c.active}})
		if !slices.Equal(up, c.up) || !slices.Equal(down, c.down) {
			t.Errorf("%s: rows %v become due and %v behind, want %v and %v", name, up, down, c.up, c.down)
		}
	}
}
