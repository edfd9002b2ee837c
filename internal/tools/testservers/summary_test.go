//go:build unix

package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

func TestTheSummaryCountsTheTestsOfEachServerAndListsWhatWasSkipped(t *testing.T) {
	entries := []testenv.LedgerEntry{
		{Kind: "use", Package: "postgres", Test: "TestA", Subject: testenv.PostgreSQL.Name},
		{Kind: "use", Package: "postgres", Test: "TestA", Subject: testenv.PostgreSQL.Name},
		{Kind: "use", Package: "service", Test: "TestB", Subject: testenv.PostgreSQL.Name},
		{Kind: "skip", Package: "mysql", Test: "TestC", Subject: "PARLEY_X", Detail: "no server"},
	}
	found := []located{{Endpoint: testenv.Endpoint{Server: testenv.PostgreSQL}}, {Endpoint: testenv.Endpoint{Server: testenv.MariaDBServer}}}
	text := summary(found, entries, "go test work", 90*time.Second, nil)
	for _, want := range []string{
		"go test work passed in 1m30s",
		"2 tests (postgres 1, service 1)",
		"no test used it",
		"skipped: mysql TestC: no server (set PARLEY_X)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary does not say %q:\n%s", want, text)
		}
	}
	if text := summary(nil, nil, "go test work", time.Second, errors.New("exit status 1")); !strings.Contains(text, "FAILED (exit status 1)") {
		t.Errorf("a failed run: %s", text)
	}
}
