package rabbitmq

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestManyDeclarationsRunAtOnceAndTheirErrorsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 40
		var now, most atomic.Int64
		start := time.Now()
		errs := concurrently(n, func(i int) error {
			if running := now.Add(1); running > most.Load() {
				most.Store(running)
			}
			defer now.Add(-1)
			time.Sleep(time.Second)
			if i%2 == 1 {
				return fmt.Errorf("declaration %d", i)
			}
			return nil
		})
		if most.Load() > declareLimit || time.Since(start) != 3*time.Second {
			t.Errorf("%d of 40 ran at once, for %v; want at most %d, for 3s", most.Load(), time.Since(start), declareLimit)
		}
		for i, err := range errs {
			if want := fmt.Sprintf("declaration %d", i); (i%2 == 1) != (err != nil) || err != nil && err.Error() != want {
				t.Errorf("error %d is %v", i, err)
			}
		}
		if err := errors.Join(concurrently(0, func(int) error { return errors.New("called") })...); err != nil {
			t.Error(err)
		}
	})
}
