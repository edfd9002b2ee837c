package rest

import "sync"

// scratch holds buffers for documents that encoding/json reads; encoding/json
// copies what it keeps.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// scratchBytes is the largest buffer kept: a rare huge answer must not stay in
// memory indefinitely.
const scratchBytes = 256 << 10

func keepScratch(b *[]byte) {
	if cap(*b) <= scratchBytes {
		scratch.Put(b)
	}
}
