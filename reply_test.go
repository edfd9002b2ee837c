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

// The identity of the reply was deleted after the inbox's retention.
func TestACallThatWasAnsweredDoesNotExpireHoweverLongItsExpiryIs(t *testing.T) {
	inCallWorld(t, double, func(w *callWorld) {
		w.ask(parley.WithExpiresIn(callRetention+time.Hour), parley.WithExpiryNotice())
		time.Sleep(callRetention + 2*time.Hour)
		synctest.Wait()
		if len(w.expired) != 0 || len(w.replies) != 1 {
			t.Errorf("%d replies, and the calls %v have expired; want the reply only", len(w.replies), w.expired)
		}
		if n := len(w.broker.Messages(parley.ParkedQueue("shop"))); n != 1 {
			t.Errorf("%d messages are parked, want the notice", n)
		}
	})
}
