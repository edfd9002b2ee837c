//go:build !race

package benchmarks_test

import (
	"testing"

	"github.com/parley-go/parley"
)

// writeWithPublisher times writers of bare rows while a raw publisher sends one message after each commit, with a window of 1,000,
// and waits for all confirms. The messages are those that a relay would publish.
//
// It shows about what two cores allow at most when each event must also go to the broker. Nothing encodes an event during the
// measurement, and nothing reads or deletes a row. The publisher needs no database: the writers pass it the commits in memory, so
// a crash would lose messages.
func (w *bench) writeWithPublisher(b *testing.B, bare *bareWriter, messages []parley.Message, writers int) int {
	b.Helper()
	n := len(messages)
	commits := make(chan struct{}, n) // the writers never wait
	each := func(yield func(*parley.Message) bool) {
		for i := range messages {
			if _, more := <-commits; !more || !yield(&messages[i]) {
				return
			}
		}
	}
	published := make(chan error, 1)
	go func() { published <- publishRaw(w.raw, each, 1000) }()
	bare.outbox.write(b, n, writers, bare.insert, func() { commits <- struct{}{} })
	b.Logf("writers: %d; %d of %d messages were in the queue at the last commit", writers, w.queued(b), n)
	close(commits)
	if err := <-published; err != nil {
		b.Fatal(err)
	}
	w.purge(b, n)
	bare.empty(b, "parley_outbox")
	return n
}
