package mysql_test

import (
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/mysql"
)

func TestIDsOfAnInsertionWithoutReturning(t *testing.T) {
	s := open(t)
	mysql.PretendNoReturning(s)
	for _, n := range []int{1, 2, 5000} {
		records := make([]parley.Record, n)
		for i := range records {
			records[i] = plain()
		}
		ids := insert(t, s, records...)
		b, err := s.Claim(t.Context(), parley.ClaimOptions{Limit: n})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range b.Records() {
			if r.ID != ids[i] {
				t.Fatalf("record %d of %d has the id %d in the table, Insert returned %d", i, n, r.ID, ids[i])
			}
		}
		if elsewhere, err := b.Settle(t.Context(), ids, nil); elsewhere != 0 || err != nil {
			t.Fatalf("settle: %d deleted elsewhere, %v", elsewhere, err)
		}
	}
}
