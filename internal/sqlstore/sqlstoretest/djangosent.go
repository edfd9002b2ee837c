package sqlstoretest

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// sent checks Delete after a batch that could not be settled: only rows that are unchanged since they were published are deleted.
func (d Django[Tx]) sent(t *testing.T) {
	ctx := t.Context()
	store, db, inTx := d.Open(t, "2.6")
	for id := range 3 {
		d.due(t, db, id+1, 1)
	}
	exec(t, db, "UPDATE "+sqlstore.DjangoTable+` SET tags = '{"a": "b"}' WHERE id = 2`)
	peek := func() (out []parley.SentRecord) {
		b, err := store.Claim(ctx, parley.ClaimOptions{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range b.Records() {
			out = append(out, r.Sent())
		}
		if err := b.Release(ctx); err != nil {
			t.Fatal(err)
		}
		return out
	}
	sent := peek()
	err := inTx(ctx, func(tx Tx) error {
		n, err := store.Reschedule(ctx, tx, parley.Selection{Exchange: "vec", RoutingKey: "k", Tags: map[string]string{"a": "b"}}, time.Now().Add(-time.Minute))
		if n != 1 {
			t.Errorf("moved %d rows, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sent[2].CreatedAt = sent[2].CreatedAt.Add(-time.Minute)
	n, left, err := store.Delete(ctx, sent)
	if n != 1 || len(left) != 2 || err != nil {
		t.Errorf("deleted %d and left %v (%v), want 1 deleted, the moved and the other row left", n, left, err)
	}
	var ids []int64
	for _, s := range peek() {
		ids = append(ids, s.ID)
	}
	if !slices.Equal(ids, []int64{2, 3}) {
		t.Errorf("the rows %v remain, want 2 and 3", ids)
	}
}
