package parleytest

import (
	"errors"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

func listPromises[Tx any]() []failurePromise[Tx] {
	return []failurePromise[Tx]{
		{name: "ListGoesPageByPage", run: listGoesPageByPage[Tx]},
		{name: "NewestReturnsTheLastRowsFirst", run: newestReturnsTheLastRowsFirst[Tx]},
		{name: "ListHasNoBodies", run: listHasNoBodies[Tx]},
		{name: "ListSelects", run: listSelects[Tx]},
		{name: "GetOfAMissingRowIsErrNoFailure", run: getOfAMissingRow[Tx]},
		{name: "StatsCountByState", run: statsCountByState[Tx]},
		{name: "StatsHaveAges", run: statsHaveAges[Tx]},
		{name: "ConsumersAreListed", run: consumersAreListed[Tx]},
	}
}

func listGoesPageByPage[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failures(7)...)
	var got []int64
	after := int64(0)
	for {
		page, err := f.Failures.List(f.ctx, parley.FailureQuery{}, after, 3)
		f.must(err, "list")
		if len(page) > 3 {
			f.Fatalf("a page has %d rows, the limit is 3", len(page))
		}
		if len(page) == 0 {
			break
		}
		got = append(got, rowIDs(page)...)
		after = got[len(got)-1]
	}
	if !slices.Equal(got, ids) {
		f.Errorf("all pages have the rows %v, want %v", got, ids)
	}
}

func newestReturnsTheLastRowsFirst[Tx any](f *failureTest[Tx]) {
	ids := f.keepIDs(failures(3)...)
	ids = append(ids, f.keep("shipping", parked(failed(`{}`)))[0].ID)
	newest, err := f.Failures.Newest(f.ctx, 3)
	f.must(err, "newest")
	if got := rowIDs(newest); !slices.Equal(got, []int64{ids[3], ids[2], ids[1]}) {
		f.Errorf("the newest rows of %v are %v", ids, got)
	}
	if len(newest) > 0 && (newest[0].Consumer != "shipping" || len(newest[0].Message.Body) > 0) {
		f.Errorf("the newest row is %+v, want that of shipping without its body", newest[0])
	}
}

func listHasNoBodies[Tx any](f *failureTest[Tx]) {
	o := parked(identified("id:7"))
	o.Message.Body = []byte(`{"long": "body"}`)
	f.keepIDs(o)
	row := f.list(parley.FailureQuery{})[0]
	if len(row.Message.Body) > 0 || row.Size != len(o.Message.Body) {
		f.Errorf("a listed row has the body %q and size %d, want none and %d", row.Message.Body, row.Size, len(o.Message.Body))
	}
	full := f.get(row.ID)
	if string(full.Message.Body) != string(o.Message.Body) {
		f.Errorf("Get returns the body %s, want %s", full.Message.Body, o.Message.Body)
	}
	row.Message.Body = full.Message.Body
	f.sameMessage(&row.Message, &o.Message)
	f.sameHistory(row.History, full.History)
}

func listSelects[Tx any](f *failureTest[Tx]) {
	all := []parley.Failure{failed(`{}`), parked(failed(`{}`)), keyed("a"), keyed("a"), failed(`{}`), failed(`{}`)}
	all[0].Message.Exchange = "users"
	all[1].Message.RoutingKey = "paid"
	all[4].Message.ID, all[4].Begun = "m-5", parley.SuspectAfter
	all[4].Identity, all[5].Identity = "id:m-5", "id:m-6"
	all[5].Fingerprint = "ffff"
	ids := f.keepIDs(all...)
	ids = append(ids, f.keep("shipping", parked(failed(`{}`)))[0].ID)
	claimed := f.claim(1, lasting)
	running := claimed[0].ID
	if running != ids[0] {
		f.Fatalf("row %d was claimed, want %d", running, ids[0])
	}
	states := func(s ...parley.FailureState) parley.FailureQuery { return parley.FailureQuery{States: s} }
	for what, c := range map[string]struct {
		q    parley.FailureQuery
		want []int64
	}{
		"all":           {parley.FailureQuery{}, ids},
		"a consumer":    {parley.FailureQuery{Consumer: "shipping"}, ids[6:]},
		"waiting":       {states(parley.FailureWaiting), []int64{ids[2], ids[4], ids[5]}},
		"running":       {states(parley.FailureRunning), ids[:1]},
		"two states":    {states(parley.FailureBehind, parley.FailureParked), []int64{ids[1], ids[3], ids[6]}},
		"ids":           {parley.FailureQuery{IDs: []int64{ids[5], ids[1], ids[6] + 1000}}, []int64{ids[1], ids[5]}},
		"a fingerprint": {parley.FailureQuery{Fingerprint: "ffff"}, ids[5:6]},
		"an exchange":   {parley.FailureQuery{Exchange: "users"}, ids[:1]},
		"a routing key": {parley.FailureQuery{RoutingKey: "paid"}, ids[1:2]},
		"a message id":  {parley.FailureQuery{MessageID: "m-5"}, ids[4:5]},
		"an identity":   {parley.FailureQuery{Identity: "id:m-5"}, ids[4:5]},
		"another state": {parley.FailureQuery{Identity: "id:m-5", States: []parley.FailureState{parley.FailureParked}}, []int64{}},
		"up to an id":   {parley.FailureQuery{UpTo: ids[1]}, ids[:2]},
		"several":       {parley.FailureQuery{Consumer: billing, Exchange: "orders", UpTo: ids[2]}, ids[1:3]},
		"nothing":       {parley.FailureQuery{Consumer: billing, Exchange: "nowhere"}, []int64{}},
	} {
		f.wantListed(what, c.q, c.want...)
	}
}

func getOfAMissingRow[Tx any](f *failureTest[Tx]) {
	id := f.keepIDs(failed(`{}`))[0]
	if _, err := f.Failures.Get(f.ctx, id+1000); !errors.Is(err, parley.ErrNoFailure) {
		f.Errorf("get: %v, want ErrNoFailure", err)
	}
	if err := f.Failures.Edit(f.ctx, id+1000, []byte(`{}`)); !errors.Is(err, parley.ErrNoFailure) {
		f.Errorf("edit: %v, want ErrNoFailure", err)
	}
}

// wantStats checks counts and returns the statistics.
func (f *failureTest[Tx]) wantStats(consumer string, waiting, behind, running, parked int64) parley.FailureStats {
	f.Helper()
	st, err := f.Failures.Stats(f.ctx, consumer)
	f.must(err, "stats")
	if st.Waiting != waiting || st.Behind != behind || st.Running != running || st.Parked != parked {
		f.Errorf("consumer %q has %+v, want %d waiting, %d behind, %d running and %d parked",
			consumer, st, waiting, behind, running, parked)
	}
	return st
}

func statsCountByState[Tx any](f *failureTest[Tx]) {
	f.wantStats("", 0, 0, 0, 0)
	f.keepIDs(keyed("a"), keyed("a"), keyed("a"), failed(`{}`), failed(`{}`), parked(failed(`{}`)))
	f.keep("shipping", parked(failed(`{}`)), failed(`{}`))
	f.claim(2, lasting)
	f.wantStats(billing, 1, 2, 2, 1)
	f.wantStats("shipping", 1, 0, 0, 1)
	f.wantStats("", 2, 2, 2, 2)
	f.wantStats("unknown", 0, 0, 0, 0)
}

func statsHaveAges[Tx any](f *failureTest[Tx]) {
	later := failed(`{}`)
	later.After = time.Hour
	f.keepIDs(later)
	if st := f.wantStats(billing, 1, 0, 0, 0); st.OldestWaiting != 0 || st.OldestParked != 0 {
		f.Errorf("without due or parked rows the ages are %v and %v", st.OldestWaiting, st.OldestParked)
	}
	f.keepIDs(failed(`{}`), parked(failed(`{}`)))
	var wait time.Duration
	eventually(f.T, "a row has been due for a while", func() bool {
		var err error
		wait, _, err = f.Failures.NextDue(f.ctx, billing)
		f.must(err, "next due")
		return wait < -10*pause
	})
	f.keepIDs(failed(`{}`))
	if st := f.wantStats(billing, 3, 0, 0, 1); st.OldestWaiting < -wait || st.OldestWaiting > failurePatience {
		f.Errorf("the oldest waiting row has been due for %v, want at least %v", st.OldestWaiting, -wait)
	}
	eventually(f.T, "a parked row has an age", func() bool {
		st, err := f.Failures.Stats(f.ctx, "")
		f.must(err, "stats")
		if st.OldestParked > failurePatience {
			f.Fatalf("the parked row is %v old", st.OldestParked)
		}
		return st.OldestParked > 0
	})
}

func consumersAreListed[Tx any](f *failureTest[Tx]) {
	want := func(names ...string) {
		f.Helper()
		got, err := f.Failures.Consumers(f.ctx)
		f.must(err, "consumers")
		slices.Sort(got)
		if !slices.Equal(got, names) {
			f.Errorf("the consumers are %v, want %v", got, names)
		}
	}
	want()
	f.keepIDs(parked(failed(`{}`)))
	f.keep("shipping", failed(`{}`), keyed("a"), keyed("a"))
	f.keep("Shipping", failed(`{}`))
	want("Shipping", billing, "shipping")
	if _, _, err := f.Failures.Drop(f.ctx, parley.FailureQuery{Consumer: billing}); err != nil {
		f.Fatalf("drop: %v", err)
	}
	want("Shipping", "shipping")
}
