package sqlite

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestShortTransactionsOvertakeHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q turns
		if err := q.take(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var order []string // guarded by the turns
		for _, w := range []struct {
			name  string
			first bool
		}{{"handler 1", false}, {"handler 2", false}, {"claim", true}, {"keep", true}} {
			wg.Go(func() {
				if err := q.take(t.Context(), w.first); err != nil {
					t.Error(err)
					return
				}
				order = append(order, w.name)
				q.pass()
			})
			synctest.Wait()
		}
		q.pass()
		wg.Wait()
		if want := []string{"claim", "keep", "handler 1", "handler 2"}; !slices.Equal(order, want) {
			t.Errorf("the order was %q, want %q", order, want)
		}
		if q.taken {
			t.Error("the last writer has not ended")
		}
	})
}

func TestAWriterThatGivesUpBlocksNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q turns
		if err := q.take(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.take(ctx, true); err == nil {
			t.Fatal("a second writer was admitted")
		}
		q.pass()
		if err := q.take(ctx, false); err == nil {
			t.Error("a writer whose context has ended was admitted")
		}
		if err := q.take(t.Context(), false); err != nil {
			t.Error(err)
		}
	})
}
