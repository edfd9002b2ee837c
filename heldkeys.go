package parley

import (
	"errors"
	"sync"
)

var errKeyHeld = errors.New("waits behind a parked message of its key")

// heldLimit bounds the keys of HoldKey: they come from the network.
const heldLimit = 10_000

// heldKeys are the keys of which a message was parked.
type heldKeys struct {
	mu   sync.Mutex     // guards the field below
	keys map[string]int // replays of the message that holds the key
}

// behind tells that j must be parked behind an earlier message of its key. A message of a newer
// replay ends the wait.
func (h *heldKeys) behind(j *job) bool {
	if j.key == "" || !j.route.options.hold {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	replays, held := h.keys[j.key]
	if held && j.d.history.Replays > replays {
		// Only a replay that is newer than the failure ends the wait: not the
		// next message of the same replay.
		delete(h.keys, j.key)
		return false
	}
	return held
}

// holdKey notes that a message of an ordered route was parked.
func (c *Consumer) holdKey(j *job) {
	if j.key == "" || !j.route.options.hold {
		return
	}
	h := &c.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keys == nil || len(h.keys) >= heldLimit {
		h.keys = map[string]int{}
	}
	h.keys[j.key] = max(h.keys[j.key], j.d.history.Replays)
}
