package doccheck

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

// packages are the packages that snippets use without an import.
var packages = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "time": "time", "sync": "sync", "sql": "database/sql", "slog": "log/slog", "os": "os",
	"filepath": "path/filepath", "testing": "testing", "synctest": "testing/synctest", "log": "log", "tls": "crypto/tls", "json": "encoding/json", "http": "net/http",
	"pgx": "github.com/jackc/pgx/v5", "pgxpool": "github.com/jackc/pgx/v5/pgxpool",
	"parley": "github.com/parley-go/parley", "memory": "github.com/parley-go/parley/memory", "parleytest": "github.com/parley-go/parley/parleytest",
	"postgres": "github.com/parley-go/parley/postgres", "mysql": "github.com/parley-go/parley/mysql", "sqlite": "github.com/parley-go/parley/sqlite",
	"rabbitmq": "github.com/parley-go/parley/rabbitmq", "rest": "github.com/parley-go/parley/rest", "service": "github.com/parley-go/parley/service",
	"settings": "github.com/parley-go/parley/service/settings", "command": "github.com/parley-go/parley/service/command",
}

// prelude declares the names that the snippets use.
var prelude = map[string]string{
	"User":         "type User struct { ID int64; Name string }",
	"SMS":          "type SMS struct { Phone, Text string }",
	"QuoteRequest": "type QuoteRequest struct { Item string; Pieces int }",
	"QuoteReply":   "type QuoteReply struct { Cents int }",
	"UserRenamed":  `var UserRenamed = parley.NewEvent[User]("user", "update.base")`,
	"RemindPhoto":  `var RemindPhoto = parley.NewEvent[User]("user", "remind.photo")`,
	"SendSMS":      `var SendSMS = parley.NewCommand[SMS]("sms", "")`,
	"Quote":        `var Quote = parley.NewCall[QuoteRequest, QuoteReply]("pricing", "quote")`,
	"ctx":          "var ctx context.Context",
	"pool":         "var pool *pgxpool.Pool",
	"db":           "var db *sql.DB",
	"tx":           "var tx pgx.Tx",
	"store":        "var store *postgres.Store",
	"outbox":       "var outbox *parley.Outbox[pgx.Tx]",
	"inbox":        "var inbox *parley.Inbox[pgx.Tx]",
	"broker":       "var broker *rabbitmq.Broker",
	"relay":        "var relay *parley.Relay",
	"consumer":     "var consumer *parley.Consumer",
	"caller":       "var caller *parley.Caller",
	"r":            "var r *parley.Router",
	"s":            "var s *service.Service",
	"api":          "var api *rest.Client",
	"u":            "var u User",
	"sms":          "var sms SMS",
	"err":          "var err error",
	"rename":       "func rename(context.Context, pgx.Tx, User) error { return nil }",
	"handle":       "func handle(context.Context, *parley.Delivery) error { return nil }",
}

// Go code in the documents compiles and passes vet, and its tests pass. A block is a file, or
// declarations, or statements; a ```go fragment is not compiled.
func TestGoCodeInTheDocumentsCompiles(t *testing.T) {
	testenv.Long(t, "takes 20 seconds")
	dir := userModule(t, "snippets")
	where := map[string]string{}
	var tests []string
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.lang != "go" || strings.HasPrefix(b.info, "fragment") {
				continue
			}
			source, err := complete(b.code)
			if err != nil {
				t.Errorf("%s:%d: %v", b.path, b.line, err)
				continue
			}
			name := fmt.Sprintf("snippet%03d", len(where))
			where[name] = fmt.Sprintf("%s:%d", b.path, b.line)
			file := "snippet.go"
			if strings.Contains(b.code, "func Test") {
				file = "snippet_test.go"
				tests = append(tests, "./"+name)
			}
			write(t, filepath.Join(dir, name, file), source)
		}
	}
	if len(where) == 0 || len(tests) == 0 {
		t.Fatal("the documents have no Go code, or no tests in it")
	}
	for _, args := range [][]string{{"vet", "-mod=mod", "./..."}, append([]string{"test", "-mod=mod"}, tests...)} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, regexp.MustCompile(`snippet\d{3}`).ReplaceAllStringFunc(string(out), func(name string) string {
				return name + " [" + where[name] + "]"
			}))
		}
	}
}

// userModule creates a module in a new folder that uses the modules of this repository, as the README describes. Its requirements are those of
// module service, which uses all others.
func userModule(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), name)
	service, err := filepath.Abs(filepath.Join(root, "service"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(service, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(mod), "module github.com/parley-go/parley/service", "module example.com/"+name, 1)
	text = regexp.MustCompile(`=> \.\.\S*`).ReplaceAllStringFunc(text, func(target string) string {
		return "=> " + filepath.Join(service, strings.TrimPrefix(target, "=> "))
	})
	text += "\nrequire github.com/parley-go/parley/service v0.0.0\n\nreplace github.com/parley-go/parley/service => " + service + "\n"
	write(t, filepath.Join(dir, "go.mod"), []byte(text))
	copySums(t, dir)
	return dir
}

// copySums copies the checksums of all modules, so that the go command needs no network.
func copySums(t *testing.T, dir string) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(root, "service", "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.sum"), sums)
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// complete turns a snippet into a whole file.
func complete(code string) ([]byte, error) {
	if strings.HasPrefix(code, "package ") {
		return []byte(code), nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", "package snippet\n"+code, parser.SkipObjectResolution)
	if err != nil { // the snippet is a list of statements
		code = "func snippet() error {\n" + code + "\n" + unused(code) + "return nil\n}\n"
		if file, err = parser.ParseFile(fset, "", "package snippet\n"+code, parser.SkipObjectResolution); err != nil {
			return nil, err
		}
	}
	declared := declares(file)
	for added := true; added; { // a declaration may need another one
		added = false
		for _, name := range slices.Sorted(maps.Keys(prelude)) {
			if !declared[name] && regexp.MustCompile(`\b`+name+`\b`).MatchString(code) {
				declared[name], added = true, true
				code += prelude[name] + "\n"
			}
		}
	}
	var out bytes.Buffer
	out.WriteString("package snippet\n")
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(code) {
			fmt.Fprintf(&out, "import %q\n", packages[name])
		}
	}
	out.WriteString(code)
	return format.Source(out.Bytes())
}

// unused returns statements that use the variables that the snippet assigns and does not use.
func unused(code string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([\w, ]+?) :=`).FindAllStringSubmatch(code, -1) {
		for name := range strings.SplitSeq(m[1], ",") {
			if name = strings.TrimSpace(name); name != "_" && !seen[name] {
				seen[name] = true
				fmt.Fprintf(&b, "_ = %s\n", name)
			}
		}
	}
	return b.String()
}

func declares(f *ast.File) map[string]bool {
	out := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			out[d.Name.Name] = d.Recv == nil
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					out[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						out[n.Name] = true
					}
				}
			}
		}
	}
	return out
}
