package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// tool runs a program in dir and returns its output. It fails the test if the program fails.
func tool(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// lines collects the output of a process.
type lines struct {
	mu sync.Mutex // guards the field below
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	for late := time.After(3 * time.Minute); !strings.Contains(l.String(), text); {
		select {
		case <-late:
			t.Fatalf("%q did not appear:\n%s", text, l)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// newService creates a service with init, and returns its folder and binary.
func newService(t *testing.T) (dir, binary string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	cmd, out := program(t.Context(), t, "init", "shop", "--clone", root)
	cmd.Dir = parent
	if err := cmd.Run(); err != nil {
		t.Fatalf("init failed: %v\n%s", err, out)
	}
	dir = filepath.Join(parent, "shop")
	binary = filepath.Join(dir, "shop")
	tool(t, dir, "go", "build", "-o", binary, ".")
	return dir, binary
}

func TestInitWritesAServiceThatRunsAndPassesItsOwnTest(t *testing.T) {
	testenv.Long(t, "compiles a service")
	dir, binary := newService(t)
	tool(t, dir, "go", "vet", "./...")
	tool(t, dir, "go", "test", "./...")
	if out := tool(t, dir, "gofmt", "-l", "."); out != "" {
		t.Errorf("not formatted: %s", out)
	}
	var out lines
	stop := runService(t, dir, binary, &out)
	tool(t, dir, binary, "publish", "order", "placed", "--payload", `{"id": 7, "item": "tea", "amount": 2}`)
	out.await(t, `msg="orders: accepted" order=7 item=tea`)
	stop()
}

// runService runs a service until stop is called, which checks that it ends cleanly.
func runService(t *testing.T, dir, binary string, out *lines) (stop func()) {
	t.Helper()
	run := exec.CommandContext(t.Context(), binary, "run")
	run.Dir, run.Stdout, run.Stderr = dir, out, out
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	awaitTables(t, dir, binary)
	return func() {
		t.Helper()
		if err := run.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := run.Wait(); err != nil {
			t.Errorf("the service did not stop cleanly: %v\n%s", err, out)
		}
	}
}

func TestAnAddedServiceSharesTheContractsOfTheFirst(t *testing.T) {
	testenv.Long(t, "compiles a service")
	shop, _ := newService(t)
	cmd, added := program(t.Context(), t, "init", "--add", "billing")
	cmd.Dir = shop
	if err := cmd.Run(); err != nil {
		t.Fatalf("init --add failed: %v\n%s", err, added)
	}
	tool(t, shop, "go", "vet", "./...")
	tool(t, shop, "go", "test", "./billing/...")
	if out := tool(t, shop, "gofmt", "-l", "."); out != "" {
		t.Errorf("not formatted: %s", out)
	}
	dir := filepath.Join(shop, "billing")
	binary := filepath.Join(dir, "billing")
	tool(t, dir, "go", "build", "-o", binary, ".")
	var out lines
	stop := runService(t, dir, binary, &out)
	tool(t, dir, binary, "publish", "order", "accepted", "--payload", `{"id": 7, "item": "tea", "amount": 2}`)
	out.await(t, `msg="invoices: written" order=7`)
	stop()
}

// awaitTables polls until the running service has created its tables.
func awaitTables(t *testing.T, dir, binary string) {
	t.Helper()
	for late := time.After(time.Minute); ; {
		cmd := exec.CommandContext(t.Context(), binary, "check")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("the service created no tables: %v\n%s", err, out)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestDevReloadsAServiceAfterAnEditOfAHandler(t *testing.T) {
	testenv.Long(t, "compiles a service")
	dir, binary := newService(t)
	handler := filepath.Join(dir, "orders", "orders.go")
	source, err := os.ReadFile(handler)
	if err != nil {
		t.Fatal(err)
	}
	var out lines
	dev := exec.CommandContext(t.Context(), binary, "dev", "run")
	dev.Dir, dev.Stdout, dev.Stderr = dir, &out, &out
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(handler, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(id string) {
		t.Helper()
		awaitTables(t, dir, binary)
		tool(t, dir, binary, "publish", "order", "placed", "--payload", `{"id": `+id+`, "item": "tea", "amount": 2}`)
	}
	out.await(t, "(build 1)")
	publish("1")
	out.await(t, "orders: accepted\" order=1")
	save("package orders\n\nthis is no Go\n")
	out.await(t, "old program still running")
	publish("2")
	out.await(t, "orders: accepted\" order=2")
	save(strings.ReplaceAll(string(source), "orders: accepted", "orders: taken"))
	out.await(t, "(build 3)")
	publish("3")
	out.await(t, "orders: taken\" order=3")
	if err := dev.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := dev.Wait(); err != nil {
		t.Errorf("dev did not stop cleanly: %v\n%s", err, &out)
	}
}
