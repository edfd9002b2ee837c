package parley_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// A deafStore has no notifications until a time.
type deafStore struct {
	*memory.Store
	until time.Time
}

func (s *deafStore) Watch(ctx context.Context, wake func()) error {
	if time.Now().Before(s.until) {
		return errors.New("connection refused")
	}
	return s.Store.Watch(ctx, wake)
}

func TestTheLogSaysWhenNotificationsWorkAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := w.broker.Declare(t.Context(), topology("q")); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		relay, err := parley.NewRelay(&deafStore{w.store, time.Now().Add(5 * time.Second)}, w.broker,
			&parley.RelayConfig{Logger: slog.New(slog.NewTextHandler(&out, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := relay.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		w.publish(t.Context(), user{}) // another wake-up
		time.Sleep(time.Minute)
		stop()
		wg.Wait()
		text := out.String()
		lost, again := strings.LastIndex(text, "notifications unavailable, polling"), strings.Index(text, "level=INFO msg=\"relay: notifications available again\"")
		if lost < 0 || again < lost || strings.Count(text, "available again") != 1 {
			t.Errorf("want one line after the last warning:\n%s", text)
		}
	})
}
