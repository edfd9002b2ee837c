package command

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// completed returns the values that a shell gets for a command line, without their descriptions.
func completed(t *testing.T, args ...string) []string {
	t.Helper()
	code, out, errs := call(t, append([]string{"__complete"}, args...)...)
	if code != ExitOK {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	var values []string
	for line := range strings.Lines(out) {
		if value, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); value != "" && !strings.HasPrefix(value, ":") {
			values = append(values, value)
		}
	}
	return values
}

func TestTheShellCompletesValues(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "orders", parkedRow, waitingRow)
	park(t, s, 1, "refused")
	publish(t, s, remind, 1, parley.WithDueAt(time.Now().Add(time.Hour)))
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"o1 " + ids[1] + " " + ids[0], []string{"parked", "show", flag, ""}},
		{ids[1], []string{"parked", "replay", flag, ids[0], "c"}},
		{"", []string{"parked", "show", flag, ids[0], ""}},
		{"2", []string{"scheduled", "cancel", flag, ""}},
		{"audit user", []string{"parked", "ls", flag, "--exchanges=user,audit", "--exchange", ""}},
		{"mail orders", []string{"parked", "ls", flag, "--queue=mail", "--consumer", ""}},
		{"table wide json yaml", []string{"parked", "ls", "-o", ""}},
		{"ordered parallel", []string{"relay", "--mode", ""}},
		{"declare verify none", []string{"topology", "plan", "--topology", ""}},
		{"postgres mysql sqlite", []string{"migrate", "sql", "--dialect", ""}},
		{"", []string{"parked", "show", "--database-url=sqlite:/no/such/folder/x.db", ""}},
	} {
		if got := strings.Join(completed(t, tt.args...), " "); got != tt.want {
			t.Errorf("%q is completed by %q, want %q", tt.args, got, tt.want)
		}
	}
}
