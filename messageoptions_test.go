package parley_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// optionSource is a file in which CALL stands for one call with an option.
const optionSource = `package p

import (
	"context"
	"time"

	"github.com/parley-go/parley"
)

type payload struct{ ID int }

func _(ctx context.Context, to *parley.TxOutbox, pub parley.Publisher, caller *parley.Caller, e *parley.EventType[payload],
	c *parley.CommandType[payload], q *parley.CallType[payload, payload], p payload, at time.Time, tags parley.Tags) {
	CALL
}
`

func TestTheCompilerRefusesAnOptionThatItsVerbDoesNotTake(t *testing.T) {
	calls := map[string]string{
		"Publish":            "parley.Publish(ctx, to, e, p, %)",
		"PublishAll":         "parley.PublishAll(ctx, to, e, []payload{p}, %)",
		"EventType.Record":   "e.Record(p, %)",
		"Send":               "parley.Send(ctx, pub, c, p, %)",
		"SendTx":             "parley.SendTx(ctx, to, c, p, %)",
		"CommandType.Record": "c.Record(p, %)",
		"Ask":                "parley.Ask(ctx, to, q, p, %)",
		"CallType.Record":    "q.Record(p, %)",
		"Await":              "parley.Await(ctx, caller, q, p, %)",
	}
	publish := []string{"Publish", "PublishAll", "EventType.Record"}
	sendTx := []string{"SendTx", "CommandType.Record"}
	ask := []string{"Ask", "CallType.Record"}
	all := slices.Concat(publish, sendTx, ask, []string{"Send", "Await"})
	scheduled := slices.Concat(publish, sendTx, ask)
	expiring := slices.Concat(sendTx, ask, []string{"Send", "Await"})
	options := map[string][]string{
		`parley.WithKey("x")`:         all,
		`parley.WithHeader("a", "b")`: all,
		`parley.WithMessageID("x")`:   all,
		`parley.WithDueAt(at)`:        scheduled,
		`parley.WithTags(tags)`:       scheduled,
		`parley.WithUnlessTags(tags)`: scheduled,
		`parley.WithExpiresIn(1)`:     expiring,
		`parley.WithExpiresAt(at)`:    expiring,
		`parley.WithReplyTo("x")`:     ask,
		`parley.WithExpiryNotice()`:   ask,
	}
	check := newChecker(t)
	for option, takers := range options {
		for verb, call := range calls {
			err := check(strings.ReplaceAll(optionSource, "CALL", strings.Replace(call, "%", option, 1)))
			switch takes := slices.Contains(takers, verb); {
			case takes && err != nil:
				t.Errorf("%s with %s does not compile: %v", verb, option, err)
			case !takes && err == nil:
				t.Errorf("%s with %s compiles", verb, option)
			case !takes && !strings.Contains(err.Error(), "does not implement parley."):
				t.Errorf("%s with %s: %v, want an error about the option's type", verb, option, err)
			}
		}
	}
	names := map[string]bool{}
	for option := range options {
		name, _, _ := strings.Cut(strings.TrimPrefix(option, "parley."), "(")
		names[name] = true
	}
	for _, name := range messageOptionNames(t) {
		if !names[name] || !strings.HasPrefix(name, "With") {
			t.Errorf("option %s is not in this test, or does not begin with With", name)
		}
	}
}

// newChecker returns a function that reports why a file does not compile against this package.
func newChecker(t *testing.T) func(source string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", ".")
	list, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(list)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	return func(source string) error {
		f, err := parser.ParseFile(fset, "p.go", source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		_, err = (&types.Config{Importer: imports}).Check("p", fset, []*ast.File{f}, nil)
		return err
	}
}

// messageOptionNames returns the exported functions of messageoptions.go.
func messageOptionNames(t *testing.T) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "messageoptions.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.IsExported() {
			names = append(names, f.Name.Name)
		}
	}
	return names
}
