package testenv_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/parley-go/parley/internal/testenv"
)

func TestUniqueNeverRepeats(t *testing.T) {
	a, b := testenv.Unique(t, "orders"), testenv.Unique(t, "orders")
	if a == b || !strings.HasPrefix(a, "orders_") {
		t.Errorf("Unique gave %q and %q, want two different names starting with orders_", a, b)
	}
}

// outcome runs f as a test body of its own and returns how it ended.
func outcome(t *testing.T, f func(testing.TB)) (ended, message string) {
	t.Helper()
	tb := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(tb)
	}()
	<-done
	return tb.ended, tb.message
}

func TestSkipIsAFailureWhenEverythingWasPromised(t *testing.T) {
	t.Setenv(testenv.LedgerVariable, "") // these skips are not real
	skip := func(tb testing.TB) { testenv.Skip(tb, "PARLEY_TEST_X", "no frobnicator") }
	for all, want := range map[string]string{"": "skip", "0": "skip", "1": "fatal"} {
		t.Setenv(testenv.AllVariable, all)
		ended, message := outcome(t, skip)
		if ended != want || !strings.Contains(message, "PARLEY_TEST_X") || !strings.Contains(message, "no frobnicator") {
			t.Errorf("with %s=%q: %q, %q, want %q, the variable and the reason", testenv.AllVariable, all, ended, message, want)
		}
	}
}

// recorder is a test whose end is recorded instead of reported.
type recorder struct {
	testing.TB
	ended, message string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) { r.end("fatal", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) { r.end("fatal", fmt.Sprintf(format, args...)) }

func (r *recorder) Skipf(format string, args ...any) { r.end("skip", fmt.Sprintf(format, args...)) }

func (r *recorder) end(how, message string) {
	r.ended, r.message = how, message
	runtime.Goexit()
}
