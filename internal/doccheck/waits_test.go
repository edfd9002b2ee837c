package doccheck

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

// sleepers are the test files that may sleep in real time, with the reason.
var sleepers = map[string]string{
	"faulttests/notify_test.go":  "gives a relay that has raised its flag the time for its last look at a real server; an event that comes earlier is delivered, too",
	"postgres/flag_test.go":      "commits at random moments while real relays fall asleep, and polls the server's locks",
	"faulttests/rowkill_test.go": "polls a real server until no transaction is open, bounded by the context of each query",
	"benchmarks/writers_test.go": "polls until the broker has the messages, outside what the benchmark measures",
	"benchmarks/failuredb_test.go": "PostgreSQL reports the counts of a session some time after its end, " +
		"and the wait is outside what the benchmark measures",
	"service/command/check_test.go": "polls until a row is overdue by the clock of a real database, bounded by servicetest.Patience",
}

func TestTestsSleepInVirtualTimeOnly(t *testing.T) {
	found := map[string]bool{}
	for dir, files := range testFiles(t) {
		for _, p := range realSleeps(files) {
			name := filepath.ToSlash(filepath.Join(dir, filepath.Base(p.Filename)))
			if found[name] = true; sleepers[name] == "" {
				t.Errorf("%s:%d: time.Sleep outside synctest.Test: wait for a condition, or use virtual time", name, p.Line)
			}
		}
	}
	for name := range sleepers {
		if !found[name] {
			t.Errorf("%s is allowed to sleep and does not: remove it from the list", name)
		}
	}
}

func TestASkipNamesTheVariableThatRunsTheTest(t *testing.T) {
	for dir, files := range testFiles(t) {
		for _, p := range namelessSkips(files) {
			t.Errorf("%s:%d: use testenv.Skip with the environment variable that runs the test, or testenv.SkipOptional", filepath.Join(dir, filepath.Base(p.Filename)), p.Line)
		}
	}
}

// A test that a full run may skip is skipped by testenv.SkipOptional, which gives the reason from one table.
func TestEachOptionalVariableIsThatOfATest(t *testing.T) {
	used := map[string]bool{}
	for _, files := range testFiles(t) {
		for _, f := range files.files {
			ast.Inspect(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					used[strings.Trim(lit.Value, `"`)] = true
				}
				return true
			})
		}
	}
	for variable := range testenv.Optional() {
		if !used[variable] {
			t.Errorf("no test reads %s: remove it from internal/testenv/optional.go", variable)
		}
	}
}

// A parsed is a set of test files of one folder.
type parsed struct {
	set   *token.FileSet
	files []*ast.File
}

// testFiles returns the test files of the repository by folder.
func testFiles(t *testing.T) map[string]*parsed {
	t.Helper()
	dirs := map[string]*parsed{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".bin", ".git", "testdata"}, d.Name()) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if dirs[dir] == nil {
			dirs[dir] = &parsed{set: token.NewFileSet()}
		}
		f, err := parser.ParseFile(dirs[dir].set, path, nil, parser.SkipObjectResolution)
		dirs[dir].files = append(dirs[dir].files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// realSleeps returns the calls of time.Sleep that no bubble of synctest reaches. Functions are told apart by
// their names: one that is mentioned in a bubble, directly or by others, runs in virtual time.
func realSleeps(p *parsed) []token.Position {
	bodies := functions(p.files)
	makers := bubbleMakers(bodies)
	virtual := map[ast.Node]bool{} // calls of time.Sleep in a bubble
	reached := map[string]bool{}
	var enter func(n ast.Node)
	enter = func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && !reached[id.Name] {
				reached[id.Name] = true
				for _, body := range bodies[id.Name] {
					enter(body)
				}
			}
			if call, ok := n.(*ast.CallExpr); ok {
				virtual[call] = true
			}
			return true
		})
	}
	var sleeps []*ast.CallExpr
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := callee(call)
			if name == "time.Sleep" {
				sleeps = append(sleeps, call)
			}
			if makers[name] || makers[name[strings.LastIndex(name, ".")+1:]] {
				for _, arg := range call.Args {
					enter(arg)
				}
			}
			return true
		})
	}
	var real []token.Position
	for _, call := range sleeps {
		if !virtual[call] {
			real = append(real, p.set.Position(call.Pos()))
		}
	}
	return real
}

// functions returns the bodies of functions, methods and function literals that have a name.
func functions(files []*ast.File) map[string][]*ast.BlockStmt {
	bodies := map[string][]*ast.BlockStmt{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Body != nil {
					bodies[n.Name.Name] = append(bodies[n.Name.Name], n.Body)
				}
			case *ast.AssignStmt:
				for i, right := range n.Rhs {
					literal, isFunc := right.(*ast.FuncLit)
					if name, ok := n.Lhs[min(i, len(n.Lhs)-1)].(*ast.Ident); ok && isFunc {
						bodies[name.Name] = append(bodies[name.Name], literal.Body)
					}
				}
			}
			return true
		})
	}
	return bodies
}

// bubbleMakers returns the functions whose function arguments run in a bubble: synctest.Test, and helpers that call one of these.
func bubbleMakers(bodies map[string][]*ast.BlockStmt) map[string]bool {
	makers := map[string]bool{"synctest.Test": true}
	for grown := true; grown; {
		grown = false
		for name, list := range bodies {
			if makers[name] || strings.HasPrefix(name, "Test") {
				continue
			}
			if slices.ContainsFunc(list, func(body *ast.BlockStmt) bool { return calls(body, makers) }) {
				makers[name], grown = true, true
			}
		}
	}
	return makers
}

func calls(n ast.Node, names map[string]bool) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		found = found || ok && names[callee(call)]
		return !found
	})
	return found
}

// callee returns the name of a called function as it is written: f, x.f, or an empty text.
func callee(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
		return "." + f.Sel.Name
	}
	return ""
}

// variableName is an environment variable in a text, or a Go name of one.
var variableName = regexp.MustCompile(`\bPATH\b|\b[A-Z]+(_[A-Z0-9]+)+\b|[vV]ariable\b`)

// namelessSkips returns the calls of testenv.Skip that name no environment variable, and the skips past testenv.
func namelessSkips(p *parsed) []token.Position {
	var nameless []token.Position
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch _, name, _ := strings.Cut(callee(call), "."); name {
			case "Skip", "Skipf", "SkipNow":
				if callee(call) != "testenv.Skip" || !namesVariable(call.Args[1]) {
					nameless = append(nameless, p.set.Position(call.Pos()))
				}
			}
			return true
		})
	}
	return nameless
}

func namesVariable(arg ast.Expr) (found bool) {
	ast.Inspect(arg, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			found = found || variableName.MatchString(n.Value)
		case *ast.Ident:
			found = found || variableName.MatchString(n.Name)
		}
		return true
	})
	return found
}

func TestTheChecksOfTestsFindARealSleepAndANamelessSkip(t *testing.T) {
	const source = `package p
import ("testing"; "testing/synctest"; "time")
func TestReal(t *testing.T) { time.Sleep(1) }
func TestVirtual(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1); helper() }) }
func TestByMaker(t *testing.T) { bubble(t, func() { time.Sleep(1) }) }
func TestByMakers(t *testing.T) { routes := func() { time.Sleep(1) }; outer(t, routes) }
func outer(t *testing.T, do func()) { bubble(t, do) }
func TestBoth(t *testing.T) { synctest.Test(t, func(*testing.T) {}); time.Sleep(1) }
func helper() { deeper() }
func deeper() { time.Sleep(1) }
func bubble(t *testing.T, do func()) { synctest.Test(t, func(*testing.T) { do() }) }
func TestSkip(t *testing.T) {
	t.Skip("not today")
	t.SkipNow()
	testenv.Skip(t, "a reason", "PARLEY_X is in the wrong place")
	testenv.Skip(t, "PARLEY_X", "a reason")
	t.Skipf("set %s", xVariable)
}
`
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "p_test.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	p := &parsed{set, []*ast.File{f}}
	for _, check := range []struct {
		name string
		got  []token.Position
		want string
	}{
		{"sleeps", realSleeps(p), "[3 8]"},
		{"skips", namelessSkips(p), "[13 14 15 17]"},
	} {
		var lines []int
		for _, p := range check.got {
			lines = append(lines, p.Line)
		}
		if got := fmt.Sprint(lines); got != check.want {
			t.Errorf("%s in lines %s, want %s", check.name, got, check.want)
		}
	}
}
