package command

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service/internal/terminal"
)

// progressInterval is the time between two states of a progress. Short work shows none.
const progressInterval = 200 * time.Millisecond

// A progress counts long work on the last line of a terminal. It writes to standard error, and nothing if that is no terminal.
type progress struct {
	w     io.Writer // nil means no output
	what  string
	n     int
	next  time.Time
	drawn bool
}

func newProgress(cmd *cobra.Command, what string) *progress {
	p := &progress{what: what, next: time.Now().Add(progressInterval)}
	if w := cmd.ErrOrStderr(); terminal.Is(w) {
		p.w = w
	}
	return p
}

func (p *progress) add(n int) {
	p.n += n
	if p.w == nil || time.Now().Before(p.next) {
		return
	}
	p.drawn, p.next = true, time.Now().Add(progressInterval)
	fmt.Fprintf(p.w, "\r\x1b[K%s: %d", p.what, p.n)
}

// end removes the line. It may be called twice.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.drawn = false
}
