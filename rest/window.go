package rest

import (
	"sync"
	"time"
)

// windowSlots is the number of slots in which a window counts.
const windowSlots = 10

// A window counts the outcomes of a recent period.
type window struct {
	slot time.Duration

	// mu guards the fields below.
	mu    sync.Mutex
	start time.Time // of slots[0], the newest
	slots [windowSlots]struct{ total, failed int }
}

func newWindow(length time.Duration) *window { return &window{slot: max(length/windowSlots, 1)} }

func (w *window) add(now time.Time, failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll(now)
	w.slots[0].total++
	if failed {
		w.slots[0].failed++
	}
}

func (w *window) counts(now time.Time) (total, failed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roll(now)
	for _, s := range w.slots {
		total, failed = total+s.total, failed+s.failed
	}
	return total, failed
}

func (w *window) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.slots[:])
}

// roll makes slots[0] the slot of the present time.
func (w *window) roll(now time.Time) {
	steps := now.Sub(w.start) / w.slot // huge at first, because start is zero
	if steps <= 0 {
		return
	}
	if steps >= windowSlots {
		clear(w.slots[:])
		w.start = now
		return
	}
	copy(w.slots[steps:], w.slots[:windowSlots-steps])
	clear(w.slots[:steps])
	w.start = w.start.Add(steps * w.slot)
}
