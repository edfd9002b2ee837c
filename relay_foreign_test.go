package parley_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

// A slowPublisher takes longer than a relay holds its batch. during is called then.
type slowPublisher struct {
	parley.Publisher
	during func()
}

func (p slowPublisher) Publish(ctx context.Context, messages []parley.Message) []error {
	time.Sleep(10 * time.Second)
	p.during()
	return p.Publisher.Publish(ctx, messages)
}

// After the hold limit the records are in the table again, where a relay without locks may take them.
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
			if n, err := w.store.Delete(t.Context(), []int64{pending[1].ID, pending[3].ID}); n != 2 || err != nil {
				t.Errorf("deleted %d (%v), want 2", n, err)
			}
		}
		foreign := 0
		cfg := parley.RelayConfig{Hooks: parley.RelayHooks{Foreign: func(n int) { foreign += n }}}
		relay, err := parley.NewRelay(w.store, slowPublisher{w.broker, during}, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		if moved, err := relay.Drain(t.Context()); moved != 5 || err != nil {
			t.Errorf("the relay moved %d (%v), want 5", moved, err)
		}
		if foreign != 2 {
			t.Errorf("%d records were reported as deleted by others, want 2", foreign)
		}
	})
}
