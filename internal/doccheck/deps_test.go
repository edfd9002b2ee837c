package doccheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parley-go/parley"

// allowed lists which packages of this module and which third-party modules a package may
// import, except in tests, and why. Every other import is a decision that docs/design.md must record.
var allowed = []struct {
	pkg     string
	imports []string
	why     string
}{
	{"", []string{"/internal/jsonkeys", "/internal/topic", "/internal/failpoint", "/internal/support"}, "users of the vocabulary must not inherit a driver"},
	{"/internal/jsonkeys", nil, "the core depends on it"},
	{"/internal/topic", nil, "the core depends on it"},
	{"/internal/diagram", nil, "commands and a console draw with it"},
	{"/internal/support", nil, "a table of dates, for the findings of every driver"},
	{"/internal/failpoint", nil, "everything depends on it, and it is empty but for fault tests"},
	{"/memory", []string{"", "/internal/topic"}, "the embedded default needs no server and no library"},
	{"/parleytest", []string{""}, "users' tests import it"},
	{"/rabbitmq", []string{"", "/internal/failpoint", "github.com/rabbitmq/amqp091-go"}, "one outside system"},
	{"/postgres", []string{"", "/internal/failpoint", "/internal/sqlstore", "github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"}, "one outside system"},
	{"/mysql", []string{"", "/internal/failpoint", "/internal/sqlstore", "github.com/go-sql-driver/mysql", "github.com/pressly/goose/v3"}, "one outside system"},
	{"/sqlite", []string{"", "/internal/failpoint", "/internal/sqlstore", "modernc.org/sqlite", "github.com/pressly/goose/v3"}, "one outside system"},
	{"/internal/sqlstore", []string{"", "/internal/failpoint", "github.com/pressly/goose/v3"}, "the database/sql engine knows no driver"},
	{"/console", []string{"", "/internal/diagram"}, "mountable in any mux, without drivers and settings"},
	{"/rest", []string{"/internal/jsonkeys", "golang.org/x/oauth2", "golang.org/x/text", "github.com/sony/gobreaker/v2", "github.com/cenkalti/backoff/v5"}, "usable alone: it does not know package parley"},
	{"/otelparley", []string{"", "go.opentelemetry.io/otel", "github.com/prometheus/client_golang"}, "the core stays on the standard library"},
}

type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", "work")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	rules := map[string][]string{}
	for _, a := range allowed {
		rules[module+a.pkg] = a.imports
	}
	for _, p := range listPackages(t) {
		imports, ruled := rules[p.ImportPath]
		for _, path := range p.Imports {
			if path == module+"/parleytest" && !strings.HasSuffix(p.ImportPath, "test") {
				t.Errorf("%s imports parleytest: only tests may", p.ImportPath)
			}
			if ruled && isForeign(path) && !slices.ContainsFunc(imports, func(ok string) bool { return covers(ok, path) }) {
				t.Errorf("%s imports %s, which deps_test.go does not allow", p.ImportPath, path)
			}
		}
	}
}

// isForeign reports whether a package is outside the standard library.
func isForeign(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

// covers reports whether an allowance includes a package. An allowance for a package of this module
// includes only that package; one for another module includes the packages below it.
func covers(ok, path string) bool {
	if ok == "" || strings.HasPrefix(ok, "/") {
		return path == module+ok
	}
	return path == ok || strings.HasPrefix(path, ok+"/")
}
