package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// LedgerVariable is the environment variable that names a file to which every test
// adds a line per server it used and per skip. "make test" sets it, and sums the file
// up at its end.
const LedgerVariable = "PARLEY_TEST_LEDGER"

// LedgerEntry is a line of the ledger.
type LedgerEntry struct {
	// Kind is "use" or "skip".
	Kind string
	// Package is the name of the test binary, the last part of the import path.
	Package string
	// Test is the full name of the test.
	Test string
	// Subject is the server used, or the variable that would have prevented the skip.
	Subject string
	// Detail is the server's host and port, or the reason of the skip.
	Detail string
}

// ParseLedger reads what tests wrote; lines that are no entry are left out.
func ParseLedger(text string) []LedgerEntry {
	var entries []LedgerEntry
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 5 {
			continue
		}
		entries = append(entries, LedgerEntry{f[0], f[1], f[2], f[3], f[4]})
	}
	return entries
}

// note adds a line to the ledger. One short write to a file opened for appending is
// not interleaved with those of the other test binaries.
func note(t testing.TB, kind, subject, detail string) {
	t.Helper()
	path := os.Getenv(LedgerVariable)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Errorf("testenv: open the ledger given by %s: %v", LedgerVariable, err)
		return
	}
	defer f.Close()
	binary := strings.TrimSuffix(filepath.Base(os.Args[0]), ".test")
	detail = strings.NewReplacer("\t", " ", "\n", " ").Replace(detail)
	if _, err := f.WriteString(strings.Join([]string{kind, binary, t.Name(), subject, detail}, "\t") + "\n"); err != nil {
		t.Errorf("testenv: write the ledger given by %s: %v", LedgerVariable, err)
	}
}
