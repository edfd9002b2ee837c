package mysql_test

import (
	"sync"
	"testing"

	"github.com/parley-go/parley"
)

func TestTwoOperatorsReplayTheSameParkedRecordsAtOnce(t *testing.T) {
	s := open(t)
	for round := range 10 {
		for range 20 {
			insert(t, s, parley.Record{Message: parley.Message{Exchange: "x", Kind: parley.KindCommand, Body: []byte("{}")}})
		}
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var parked []parley.Parked
		for _, r := range b.Records() {
			parked = append(parked, parley.Parked{Record: r, Reason: "r"})
		}
		if _, err := b.Settle(t.Context(), nil, parked); err != nil {
			t.Fatal(err)
		}
		list, err := s.ListParked(t.Context(), 0, 10000)
		if err != nil {
			t.Fatal(err)
		}
		var pids []int64
		for _, p := range list {
			pids = append(pids, p.ID)
		}
		var wg sync.WaitGroup
		var n [2]int
		var errs [2]error
		for i := range 2 {
			wg.Go(func() { n[i], errs[i] = s.ReplayParked(t.Context(), pids) })
		}
		wg.Wait()
		if errs[0] != nil || errs[1] != nil || n[0]+n[1] != len(pids) {
			t.Fatalf("round %d: %v %v, want %d together", round, n, errs, len(pids))
		}
		b, err = s.Claim(t.Context(), parley.ClaimOptions{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var sent []int64
		for _, r := range b.Records() {
			sent = append(sent, r.ID)
		}
		if _, err := b.Settle(t.Context(), sent, nil); err != nil {
			t.Fatal(err)
		}
	}
}
