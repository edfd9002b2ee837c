package parley

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-go/parley/internal/support"
)

// A FindingLevel is the severity of a finding.
type FindingLevel string

const (
	// FindingFine means that the check passed.
	FindingFine FindingLevel = "fine"
	// FindingWarning means that it works, but is probably a mistake.
	FindingWarning FindingLevel = "warning"
	// FindingProblem means that something does not work, or that messages are lost.
	FindingProblem FindingLevel = "problem"
)

// A Finding is the result of one check of a driver on its server.
type Finding struct {
	Level FindingLevel
	// Name is what was checked, such as "clock"; Detail is the result.
	Name, Detail string
	// Hint says what to do. It may be empty.
	Hint string
}

// A Diagnoser is a store or a broker that checks its server: version, settings, rights, sessions. It changes nothing. A check
// that fails is a finding too, so that one failure hides no other. The command doctor calls it.
type Diagnoser interface {
	Diagnose(ctx context.Context) []Finding
}

// Findings is the list that a Diagnoser returns.
type Findings []Finding

// Fine adds a passed check.
func (f *Findings) Fine(name, format string, args ...any) {
	*f = append(*f, Finding{Level: FindingFine, Name: name, Detail: fmt.Sprintf(format, args...)})
}

// Warn adds a warning.
func (f *Findings) Warn(name, detail, hint string) {
	*f = append(*f, Finding{FindingWarning, name, detail, hint})
}

// Problem adds a problem.
func (f *Findings) Problem(name, detail, hint string) {
	*f = append(*f, Finding{FindingProblem, name, detail, hint})
}

// clockLimit is the largest difference between the clocks of database and service that is fine.
const clockLimit = time.Second

// Clock compares the clock of a database with that of this process. ask returns the database's time, in seconds since 1970. Scheduled messages
// depend on the database's clock, expiry on that of the service.
func (f *Findings) Clock(ask func() (seconds float64, err error)) {
	before := time.Now()
	theirs, err := ask()
	if err != nil {
		f.Problem("clock", err.Error(), "")
		return
	}
	middle := before.Add(time.Since(before) / 2)
	skew := time.Duration((theirs - float64(middle.UnixNano())/1e9) * float64(time.Second)).Round(time.Millisecond)
	if skew.Abs() > clockLimit {
		f.Warn("clock", fmt.Sprintf("the database's clock is off by %v", skew), "run NTP on both machines: scheduled events go by the database's clock")
		return
	}
	f.Fine("clock", "the database's differs by less than %v", clockLimit)
}

// Support warns if a version of PostgreSQL, MariaDB, MySQL or RabbitMQ receives no more fixes. For a version that is newer than
// the table of parley it adds that it cannot determine this.
func (f *Findings) Support(name, product, version string) {
	outdated, note := support.Look(product, version, time.Now())
	if outdated != "" {
		f.Warn(name, outdated, "plan an upgrade")
	}
	if note != "" {
		f.Fine(name, "%s", note)
	}
}
