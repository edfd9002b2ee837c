package parleytest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

func schedulePromises[Tx any]() []storePromise[Tx] {
	return []storePromise[Tx]{
		{name: "FutureRecordWaits", run: futureRecordWaits[Tx]},
		{name: "FutureRecordComesWhenDue", run: futureRecordComesWhenDue[Tx]},
		{name: "PastRecordComesAtOnce", run: pastRecordComesAtOnce[Tx]},
		{name: "RecordsDueAtOnceComeBeforeScheduledOnes", run: recordsDueAtOnceComeFirst[Tx]},
		{name: "NextDueTellsTheTime", run: nextDueTellsTheTime[Tx]},
		{name: "RescheduleMovesTheDueTime", run: rescheduleMovesTheDueTime[Tx]},
		{name: "RescheduleIsUndoneByRollback", run: rescheduleIsUndoneByRollback[Tx]},
		{name: "ScheduledListsSoonestFirst", run: scheduledListsSoonestFirst[Tx]},
		{name: "OneRecordIsSelectedByItsID", run: oneRecordIsSelectedByItsID[Tx]},
		{name: "ChangesOfAnOperatorAreLogged", run: changesOfAnOperatorAreLogged[Tx]},
		{name: "UnlessTagsInsertsOnce", run: unlessTagsInsertsOnce[Tx]},
		{name: "UnlessTagsInParallelInsertsOnce", run: unlessTagsInParallelInsertsOnce[Tx]},
	}
}

func futureRecordWaits[Tx any](s *storeTest[Tx]) {
	r := scheduled(time.Hour, map[string]string{"user": "7"})
	ids := s.insert(r)
	if ids[0] <= 0 {
		s.Errorf("a scheduled record has the id %d", ids[0])
	}
	s.wantDue("an hour early")
}

func futureRecordComesWhenDue[Tx any](s *storeTest[Tx]) {
	r := scheduled(time.Second, map[string]string{"user": "7", "größe": "ü"})
	ids := s.insert(r)
	s.wantDue("too early")
	var got []parley.Record
	eventually(s.T, "the scheduled record is due", func() bool {
		got = s.peek()
		return len(got) > 0
	})
	if len(got) != 1 || got[0].ID != ids[0] {
		s.Fatalf("a relay gets %v, want %v", idsOf(got), ids)
	}
	if !got[0].DueAt.Equal(r.DueAt) || !maps.Equal(got[0].Tags, r.Tags) {
		s.Errorf("due at %v with tags %v, want %v with %v", got[0].DueAt, got[0].Tags, r.DueAt, r.Tags)
	}
}

func pastRecordComesAtOnce[Tx any](s *storeTest[Tx]) {
	ids := s.insert(scheduled(-time.Hour, nil))
	s.wantDue("an hour late", ids...)
}

func recordsDueAtOnceComeFirst[Tx any](s *storeTest[Tx]) {
	late := s.insert(scheduled(-time.Hour, nil))
	later := s.insert(scheduled(-2*time.Hour, nil))
	direct := s.insert(numbered(2)...)
	s.wantDue("direct ones by id, then scheduled ones by due time", direct[0], direct[1], later[0], late[0])
	b := s.claim(3)
	if got, want := idsOf(b.Records()), []int64{direct[0], direct[1], later[0]}; !slices.Equal(got, want) {
		s.Errorf("of a limit of 3 a relay gets %v, want %v", got, want)
	}
}

func nextDueTellsTheTime[Tx any](s *storeTest[Tx]) {
	next := func() (time.Duration, bool) {
		wait, ok, err := s.Store.NextDue(s.ctx)
		s.must(err, "next due")
		return wait, ok
	}
	s.insert(numbered(1)...)
	if wait, ok := next(); ok {
		s.Errorf("with no scheduled record the next one is due in %v", wait)
	}
	s.insert(scheduled(2*time.Hour, nil), scheduled(time.Hour, nil))
	if wait, ok := next(); !ok || wait < 55*time.Minute || wait > 65*time.Minute {
		s.Errorf("the next record is due in %v (%t), want about an hour", wait, ok)
	}
	s.insert(scheduled(-time.Hour, nil))
	if wait, ok := next(); !ok || wait > 0 {
		s.Errorf("the next record is due in %v (%t), want not positive: one is overdue", wait, ok)
	}
}

func changesOfAnOperatorAreLogged[Tx any](s *storeTest[Tx]) {
	log, ok := any(s.Store).(parley.ActionLog)
	if l, logs := any(s.Store).(parley.ScheduleLogger); !ok || !logs || !l.LogsSchedule() {
		return // a store on the tables of others has no log
	}
	tags := map[string]string{"user": "7"}
	sample := scheduled(time.Hour, tags)
	sel := parley.Selection{Exchange: sample.Exchange, RoutingKey: sample.RoutingKey, Tags: tags}
	ids := s.insert(scheduled(time.Hour, tags), scheduled(time.Hour, tags), scheduled(time.Hour, nil))
	ctx := parley.WithActor(s.ctx, parley.Actor{Name: "ann", Host: "ops-1", Reason: "ticket 7"})
	move := func(ctx context.Context, end func(tx Tx)) {
		tx := s.begin()
		n, err := s.Store.Reschedule(ctx, tx, sel, time.Now().Add(2*time.Hour))
		if s.must(err, "reschedule"); n != 2 {
			s.Errorf("moved %d records, want 2", n)
		}
		end(tx)
	}
	move(ctx, s.rollback)
	move(s.ctx, s.commit) // a program's own change
	move(ctx, s.commit)
	tx := s.begin()
	for _, sel := range []parley.Selection{{ID: ids[2]}, {ID: ids[2]}} { // the second finds nothing
		_, err := s.Store.Cancel(ctx, tx, sel)
		s.must(err, "cancel")
	}
	s.commit(tx)
	found, err := log.Actions(s.ctx, parley.ActionQuery{})
	s.must(err, "read the action log")
	if len(found) != 2 {
		s.Fatalf("the log has %d entries, want one of the move and one of the cancellation: %+v", len(found), found)
	}
	if a := found[1]; a.Name != parley.ActionMoveScheduled || a.Changed != 2 || a.By != "ann" || a.Reason != "ticket 7" || !strings.Contains(a.Filter, "tag.user=7 to=") {
		s.Errorf("the entry of the move is %+v", a)
	}
	if a := found[0]; a.Name != parley.ActionCancelScheduled || a.Changed != 1 || a.Filter != fmt.Sprint("record=", ids[2]) {
		s.Errorf("the entry of the cancellation is %+v", a)
	}
}

func oneRecordIsSelectedByItsID[Tx any](s *storeTest[Tx]) {
	tags := map[string]string{"user": "7"}
	ids := s.insert(scheduled(time.Hour, tags), scheduled(time.Hour, tags), scheduled(time.Hour, nil), numbered(1)[0])
	tx := s.begin()
	list, err := s.Store.Scheduled(s.ctx, tx, parley.Selection{ID: ids[1]}, 10)
	s.must(err, "list")
	if len(list) != 1 || list[0].ID != ids[1] {
		s.Errorf("record %d by its id: %+v", ids[1], list)
	}
	for i, want := range []int{1, 1, 1, 0} { // the last one is not scheduled
		n, err := s.Store.Cancel(s.ctx, tx, parley.Selection{ID: ids[i]})
		if s.must(err, "cancel"); n != want {
			s.Errorf("cancelled %d records by the id of record %d, want %d", n, i, want)
		}
	}
	s.rollback(tx)
	tx = s.begin()
	n, err := s.Store.Reschedule(s.ctx, tx, parley.Selection{ID: ids[2]}, time.Now().Add(-time.Minute))
	if s.must(err, "reschedule"); n != 1 {
		s.Errorf("moved %d records by an id, want 1", n)
	}
	if n, err = s.Store.Cancel(s.ctx, tx, parley.Selection{ID: ids[0]}); err != nil || n != 1 {
		s.Errorf("cancelled %d records by an id (%v), want 1", n, err)
	}
	s.commit(tx)
	s.wantDue("by an id one was moved into the past, one cancelled", ids[3], ids[2])
}

func rescheduleMovesTheDueTime[Tx any](s *storeTest[Tx]) {
	ids := s.insert(
		scheduled(time.Hour, map[string]string{"user": "7", "kind": "photo"}),
		scheduled(time.Hour, map[string]string{"user": "8", "kind": "photo"}),
	)
	n := s.reschedule(map[string]string{"user": "7"}, time.Now().Add(-time.Minute))
	if n != 1 {
		s.Errorf("moved %d records, want 1", n)
	}
	s.wantDue("one moved into the past", ids[0])
	if n := s.reschedule(map[string]string{"user": "7"}, time.Now().Add(time.Hour)); n != 1 {
		s.Errorf("moved %d overdue records back, want 1", n)
	}
	s.wantDue("moved back into the future")
	if n := s.reschedule(map[string]string{"user": "9"}, time.Now()); n != 0 {
		s.Errorf("moved %d records with tags that no record has", n)
	}
}

func (s *storeTest[Tx]) reschedule(tags map[string]string, due time.Time) int {
	s.Helper()
	tx := s.begin()
	n, err := s.Store.Reschedule(s.ctx, tx, reminders(tags), due)
	s.must(err, "reschedule")
	s.commit(tx)
	return n
}

func rescheduleIsUndoneByRollback[Tx any](s *storeTest[Tx]) {
	tags := map[string]string{"user": "7"}
	s.insert(scheduled(time.Hour, tags))
	tx := s.begin()
	n, err := s.Store.Reschedule(s.ctx, tx, reminders(tags), time.Now().Add(-time.Hour))
	s.must(err, "reschedule")
	if n != 1 {
		s.Errorf("moved %d records, want 1", n)
	}
	s.rollback(tx)
	s.wantDue("the move was rolled back")
}

func scheduledListsSoonestFirst[Tx any](s *storeTest[Tx]) {
	other := scheduled(time.Minute, map[string]string{"user": "7"})
	other.RoutingKey = "other"
	ids := s.insert(
		scheduled(3*time.Hour, map[string]string{"user": "7", "n": "3"}),
		scheduled(time.Hour, map[string]string{"user": "7", "n": "1"}),
		scheduled(2*time.Hour, map[string]string{"user": "8"}),
		numbered(1)[0], other,
	)
	tx := s.begin()
	list := func(sel parley.Selection, limit int) []int64 {
		records, err := s.Store.Scheduled(s.ctx, tx, sel, limit)
		s.must(err, "list scheduled")
		return idsOf(records)
	}
	for _, c := range []struct {
		what  string
		sel   parley.Selection
		limit int
		want  []int64
	}{
		{"all of a key", reminders(nil), 10, []int64{ids[1], ids[2], ids[0]}},
		{"a subset of tags", reminders(map[string]string{"user": "7"}), 10, []int64{ids[1], ids[0]}},
		{"the first two", reminders(nil), 2, []int64{ids[1], ids[2]}},
		{"an exchange", parley.Selection{Exchange: "mail"}, 10, []int64{ids[4], ids[1], ids[2], ids[0]}},
		{"everything", parley.Selection{}, 10, []int64{ids[4], ids[1], ids[2], ids[0]}},
	} {
		if got := list(c.sel, c.limit); !slices.Equal(got, c.want) {
			s.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func unlessTagsInsertsOnce[Tx any](s *storeTest[Tx]) {
	unless := func(user, kind string) parley.Record {
		r := scheduled(time.Hour, map[string]string{"user": user, "kind": kind})
		r.UnlessTags = map[string]string{"user": user}
		return r
	}
	tx := s.begin()
	first := s.insertIn(tx, unless("7", "photo"))
	again := s.insertIn(tx, unless("7", "name"))
	s.commit(tx)
	if first[0] <= 0 || again[0] != 0 {
		s.Fatalf("twice in one transaction: got the ids %d and %d, want one and 0", first[0], again[0])
	}
	mixed := s.insert(unless("7", "photo"), unless("8", "photo"), scheduled(time.Hour, map[string]string{"user": "7"}))
	if mixed[0] != 0 || mixed[1] <= 0 || mixed[2] <= 0 {
		s.Errorf("one pending, one new, one without a condition: got the ids %v", mixed)
	}
	otherKey := unless("7", "photo")
	otherKey.RoutingKey = "other"
	if id := s.insert(otherKey)[0]; id <= 0 {
		s.Errorf("a pending record of another routing key prevented the insertion")
	}
	s.cancel(reminders(map[string]string{"user": "7"}))
	if id := s.insert(unless("7", "photo"))[0]; id <= 0 {
		s.Errorf("a cancelled record prevented the insertion")
	}
}

func unlessTagsInParallelInsertsOnce[Tx any](s *storeTest[Tx]) {
	const callers = 6
	var wg sync.WaitGroup
	ids := make([]int64, callers)
	errs := make([]error, callers)
	for i := range callers {
		wg.Go(func() {
			tags := map[string]string{"user": "7"}
			r := scheduled(time.Hour, tags)
			r.UnlessTags = tags
			records := []parley.Record{r}
			tx, err := s.Begin(s.ctx)
			if err == nil {
				if err = s.Store.Insert(s.ctx, tx, records); err == nil {
					err = s.Commit(s.ctx, tx)
				} else {
					_ = s.Rollback(s.ctx, tx)
				}
			}
			ids[i], errs[i] = records[0].ID, err
		})
	}
	wg.Wait()
	inserted := 0
	for i := range callers {
		s.must(errs[i], "insert beside others")
		if ids[i] != 0 {
			inserted++
		}
	}
	if n := s.cancel(reminders(map[string]string{"user": "7"})); inserted != 1 || n != 1 {
		s.Errorf("%d of %d callers inserted, %d records were scheduled, want 1 and 1", inserted, callers, n)
	}
}
