package parley_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

// A slowPublisher takes longer than a relay's hold limit, and calls during meanwhile.
type slowPublisher struct {
	parley.Publisher
	during func()
}

func (p slowPublisher) Publish(ctx context.Context, messages []parley.Message) []error {
	time.Sleep(10 * time.Second)
	p.during()
	return p.Publisher.Publish(ctx, messages)
}

// After the hold limit the records are released, and a non-locking relay may take them.
func TestRecordsThatOthersDeleteAfterTheHoldLimitAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.broker.Declare(t.Context(), topology("q")); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			w.publish(t.Context(), user{ID: int64(i)})
		}
		pending := w.store.Pending()
		during := func() {
			if n, _, err := w.store.Delete(t.Context(), []parley.SentRecord{pending[1].Sent(), pending[3].Sent()}); n != 2 || err != nil {
				t.Errorf("deleted %d (%v), want 2", n, err)
			}
		}
		missing := 0
		cfg := parley.RelayConfig{Hooks: parley.RelayHooks{DeletedElsewhere: func(n int) { missing += n }}}
		relay, err := parley.NewRelay(w.store, slowPublisher{w.broker, during}, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		if moved, err := relay.Drain(t.Context()); moved != 5 || err != nil {
			t.Errorf("the relay moved %d (%v), want 5", moved, err)
		}
		if missing != 2 {
			t.Errorf("%d records were reported as deleted by another process, want 2", missing)
		}
	})
}
