package command

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/console"
)

func TestALineOfTheCommandIsAnAccountOfTheConsole(t *testing.T) {
	var out, errs bytes.Buffer
	root := NewOperator("parley", "test")
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(strings.NewReader("correct horse battery\n"))
	if code := Execute(t.Context(), root, []string{"console", "password", "ada", "--roles", "reader,operator"}); code != ExitOK {
		t.Fatal(code, errs.String())
	}
	if _, err := console.ReadPasswords(&out); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"console", "password"}, {"console", "password", "a:b"}, {"console", "password", "ada", "--roles", "root"}} {
		root := NewOperator("parley", "test")
		root.SetErr(&errs)
		root.SetIn(strings.NewReader("correct horse battery\n"))
		if code := Execute(t.Context(), root, args); code != ExitUsage {
			t.Errorf("%v: exit code %d, want %d", args, code, ExitUsage)
		}
	}
}

// waitFor reads until there is a text.
func waitFor(t *testing.T, read func() string, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(read(), want); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in:\n%s", want, read())
		}
	}
}

func TestTheCommandServesSeveralServicesOnOnePage(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"orders", "users"} {
		file := filepath.Join(dir, name+".yaml")
		text := "database: {url: \"sqlite:" + filepath.Join(dir, name+".db") + "\"}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(t.Context())
	root := NewOperator("parley", "test")
	root.SetErr(log)
	root.SetOut(log)
	done := make(chan int, 1)
	go func() {
		done <- Execute(ctx, root, append([]string{"console", "--console-address", "127.0.0.1:0"}, files...))
	}()
	waitFor(t, func() string { text, _ := os.ReadFile(log.Name()); return string(text) }, "console: listening")
	cancel()
	if code := <-done; code != ExitOK {
		text, _ := os.ReadFile(log.Name())
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

func TestAConsoleWithoutAccountsDoesNotListenToTheNetwork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(file, []byte("database: {url: \"sqlite:"+file+".db\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	root := NewOperator("parley", "test")
	root.SetErr(&errs)
	if code := Execute(t.Context(), root, []string{"console", file, "--console-address", "0.0.0.0:0"}); code != ExitUsage || !strings.Contains(errs.String(), "console.password_file") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}
