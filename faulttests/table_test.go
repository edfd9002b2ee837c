//go:build unix

package faulttests_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tableVariable is the environment variable that names the file for the table of counts, in Markdown.
const tableVariable = "PARLEY_FAULTS_TABLE"

// A row holds the counts of one test.
type row struct {
	fault string
	// times is how often the fault happened, events the number of messages.
	times, events int
	// lost, doubled and reordered messages, or effects if the test checks effects.
	lost, doubled, reordered int
	// recovery is the longest time from the end of a fault to the next sign of progress; zero where
	// no recovery is measured.
	recovery time.Duration
}

type table struct {
	mu   sync.Mutex // guards the field below
	rows []row
}

// counts is filled by the tests and written at the end of the run.
var counts table

func (c *table) add(t *testing.T, r row) {
	t.Helper()
	t.Logf("%s: happened %d times, %d events, %d lost, %d doubled, %d reordered, recovered in %s",
		r.fault, r.times, r.events, r.lost, r.doubled, r.reordered, r.recoveryText())
	if r.times == 0 {
		t.Errorf("%s: the fault did not happen, so the test proves nothing", r.fault)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows = append(c.rows, r)
}

func (r row) recoveryText() string {
	if r.recovery == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", r.recovery.Seconds())
}

func (c *table) write() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	path := os.Getenv(tableVariable)
	if path == "" || len(c.rows) == 0 {
		return nil
	}
	if err := os.WriteFile(path, []byte(c.markdown()), 0o644); err != nil {
		return fmt.Errorf("faulttests: write the table given by %s: %w", tableVariable, err)
	}
	return nil
}

func (c *table) markdown() string {
	slices.SortFunc(c.rows, func(a, b row) int { return cmp.Compare(a.fault, b.fault) })
	var out strings.Builder
	out.WriteString("| fault | times | events | lost | doubled | reordered | time to recover |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range c.rows {
		fmt.Fprintf(&out, "| %s | %d | %d | %d | %d | %d | %s |\n", r.fault, r.times, r.events, r.lost, r.doubled, r.reordered, r.recoveryText())
	}
	return out.String()
}

func TestTheTableOfCountsIsSortedMarkdown(t *testing.T) {
	c := table{rows: []row{
		{fault: "b", times: 2, events: 10, doubled: 3, recovery: 1500 * time.Millisecond},
		{fault: "a", times: 1, events: 5},
	}}
	want := `| fault | times | events | lost | doubled | reordered | time to recover |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| a | 1 | 5 | 0 | 0 | 0 | - |
| b | 2 | 10 | 0 | 3 | 0 | 1.5 s |
`
	if got := c.markdown(); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
}
