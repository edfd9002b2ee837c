package parley

import (
	"errors"
	"sync"
)

var errKeyHeld = errors.New("parked: an earlier message with the same ordering key is parked")

// heldLimit bounds the number of held keys, because keys come from the network.
const heldLimit = 10_000

// heldKeys are the ordering keys of which a message was parked.
type heldKeys struct {
	mu   sync.Mutex     // guards the fields below
	keys map[string]int // number of replays of the message that holds the key
	full bool           // limit exceeded: every key of these routes counts as held
}

// behind reports whether j must be parked behind an earlier message of its key. A message of a newer
// replay releases the key.
func (h *heldKeys) behind(j *job) bool {
	if j.key == "" || !j.route.options.hold {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	replays, held := h.keys[j.key]
	if held && j.d.history.Replays > replays {
		// Only a replay that is newer than the failure releases the key, not the
		// next message of the same replay.
		delete(h.keys, j.key)
		return false
	}
	return held || h.full
}

// holdKey holds the ordering key of a message that was parked.
func (c *Consumer) holdKey(j *job) {
	if j.key == "" || !j.route.options.hold {
		return
	}
	h := &c.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keys == nil {
		h.keys = map[string]int{}
	}
	if _, known := h.keys[j.key]; !known && len(h.keys) >= heldLimit {
		h.full = true // forgetting a key would silently break its order
		return
	}
	h.keys[j.key] = max(h.keys[j.key], j.d.history.Replays)
}
