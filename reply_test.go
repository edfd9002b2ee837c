package parley_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestCallWithoutReplyEndsAsExpiredOnce(t *testing.T) {
	down := true
	inCallWorld(t, func(w *callWorld, c parley.Call[quoteRequest]) (quoteReply, error) {
		if down {
			return quoteReply{}, errors.New("down")
		}
		return double(w, c)
	}, func(w *callWorld) {
		id := w.ask(parley.WithExpiresIn(time.Minute), parley.WithExpiryNotice())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(w.expired) != 1 || w.expired[0] != id {
			t.Errorf("expired %v, want %d", w.expired, id)
		}
		down = false
		w.ask(parley.WithExpiresIn(time.Minute), parley.WithExpiryNotice())
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(w.expired) != 1 || len(w.replies) != 1 {
			t.Errorf("%d expired and %d replies, want 1 of each", len(w.expired), len(w.replies))
		}
	})
}
