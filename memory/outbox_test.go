package memory_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestUnlessWaitsForAnOpenTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, commits := range []bool{true, false} {
			s := memory.NewStore()
			unless := reminder("7", time.Now().Add(time.Hour))
			unless.UnlessTags = unless.Tags
			tx := begin(t, s)
			insert(t, s, tx, unless)
			ids := make(chan int64, 1)
			go func() {
				records := []parley.Record{unless}
				err := s.InTx(t.Context(), func(tx *memory.Tx) error { return s.Insert(t.Context(), tx, records) })
				if err != nil {
					t.Error(err)
				}
				ids <- records[0].ID
			}()
			synctest.Wait()
			if len(ids) > 0 {
				t.Error("the second insertion has not waited")
			}
			end := tx.Rollback
			if commits {
				end = tx.Commit
			}
			if err := end(t.Context()); err != nil {
				t.Fatal(err)
			}
			if id := <-ids; (id == 0) != commits {
				t.Errorf("the first transaction commits: %t, the second one gets the id %d", commits, id)
			}
		}
	})
}

func TestPendingShowsWhatWillBeSent(t *testing.T) {
	s := memory.NewStore()
	event := reminder("7", time.Time{})
	event.Kind = parley.KindEvent
	records := []parley.Record{event, reminder("8", time.Now().Add(time.Hour))}
	_ = s.InTx(t.Context(), func(tx *memory.Tx) error { return s.Insert(t.Context(), tx, records) })
	var bodies []string
	for _, r := range s.Pending() {
		bodies = append(bodies, string(r.Body))
	}
	if want := []string{`{"eventId": 1}`, `{}`}; !slices.Equal(bodies, want) {
		t.Errorf("pending are the bodies %v, want %v", bodies, want)
	}
}
