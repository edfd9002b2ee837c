package memory_test

import (
	"errors"
	"testing"

	"github.com/parley-go/parley"
)

func TestPrefetchOutOfRangeIsInvalid(t *testing.T) {
	b := open(t, parley.Queue{Name: "q"})
	for _, prefetch := range []int{-1, 0, 65536} {
		_, err := b.Subscribe(t.Context(), "q", parley.SubscribeOptions{Prefetch: prefetch})
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("prefetch %d: %v, want ErrInvalid", prefetch, err)
		}
	}
}
