package testenv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

func TestLedgerRecordsUsedServersAndSkips(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	t.Setenv(testenv.LedgerVariable, path)
	t.Setenv(testenv.AllVariable, "")
	outcome(t, func(tb testing.TB) { testenv.Skip(tb, "PARLEY_TEST_X", "two\nlines\tand a tab") })
	address := testenv.RabbitMQ(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := testenv.ParseLedger("noise\n" + string(text))
	if len(got) != 2 {
		t.Fatalf("%d entries in %q, want 2", len(got), text)
	}
	want := testenv.LedgerEntry{Kind: "skip", Package: "testenv", Test: t.Name(), Subject: "PARLEY_TEST_X", Detail: "two lines and a tab"}
	if got[0] != want {
		t.Errorf("skip recorded as %+v, want %+v", got[0], want)
	}
	if got[1].Kind != "use" || got[1].Subject != "RabbitMQ" || !strings.Contains(address, got[1].Detail) {
		t.Errorf("use recorded as %+v, want a use of RabbitMQ at the host and port of its address", got[1])
	}
}
