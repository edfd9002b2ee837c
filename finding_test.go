package parley_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestAClockThatIsOffIsAWarning(t *testing.T) {
	for off, want := range map[time.Duration]parley.FindingLevel{
		0: parley.FindingFine, 900 * time.Millisecond: parley.FindingFine, -900 * time.Millisecond: parley.FindingFine,
		2 * time.Second: parley.FindingWarning, -time.Hour: parley.FindingWarning,
	} {
		synctest.Test(t, func(t *testing.T) {
			var f parley.Findings
			f.Clock(func() (float64, error) {
				time.Sleep(5 * time.Second) // there, and as long back: the answer is of the middle
				theirs := time.Now().Add(off)
				time.Sleep(5 * time.Second)
				return float64(theirs.UnixNano()) / 1e9, nil
			})
			if len(f) != 1 || f[0].Level != want || f[0].Name != "clock" {
				t.Errorf("off by %v: %+v, want one finding of level %s", off, f, want)
			}
		})
	}
}

func TestAClockThatCannotBeReadIsAProblem(t *testing.T) {
	var f parley.Findings
	f.Clock(func() (float64, error) { return 0, errors.New("no answer") })
	if len(f) != 1 || f[0].Level != parley.FindingProblem || f[0].Detail != "no answer" {
		t.Errorf("%+v", f)
	}
}

func ExampleFindings() {
	var f parley.Findings
	f.Fine("database", "version %s", "17.4")
	f.Warn("clock", "off by 3s", "run NTP")
	for _, one := range f {
		fmt.Printf("%s %s: %s %q\n", one.Level, one.Name, one.Detail, one.Hint)
	}
	// Output:
	// fine database: version 17.4 ""
	// warning clock: off by 3s "run NTP"
}

func TestAVersionWithoutFixesIsAWarningAndAnUnknownOneIsNot(t *testing.T) {
	var f parley.Findings
	f.Support("version", "PostgreSQL", "9.6.24")
	if len(f) == 0 || f[0].Level != parley.FindingWarning || f[0].Name != "version" {
		t.Errorf("PostgreSQL 9.6: %+v, want a warning", f)
	}
	f = nil
	f.Support("version", "PostgreSQL", "99.1")
	if len(f) != 1 || f[0].Level != parley.FindingFine {
		t.Errorf("PostgreSQL 99: %+v, want one fine finding that says that nothing is known", f)
	}
}
