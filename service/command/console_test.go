package command

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/console"
	"github.com/parley-go/parley/service/internal/servicetest"
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

// served serves a console until it listens, and returns its log. A console that does not listen ends the test.
func served(t *testing.T, args ...string) string {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	root := NewOperator("parley", "test")
	root.SetErr(log)
	root.SetOut(log)
	done := make(chan int, 1)
	go func() { done <- Execute(ctx, root, append([]string{"console"}, args...)) }()
	read := func() string { text, _ := os.ReadFile(log.Name()); return string(text) }
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(read(), "console: listening"); {
		select {
		case code := <-done:
			t.Fatalf("console %s: exit code %d:\n%s", strings.Join(args, " "), code, read())
		case <-time.After(10 * time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatalf("console %s: does not listen:\n%s", strings.Join(args, " "), read())
			}
		}
	}
	cancel()
	if code := <-done; code != ExitOK {
		t.Errorf("console %s: exit code %d:\n%s", strings.Join(args, " "), code, read())
	}
	return read()
}

// serviceFiles writes the settings of two services with empty databases. The first one has more settings.
func serviceFiles(t *testing.T, more string) []string {
	t.Helper()
	var files []string
	for _, name := range []string{"orders", "users"} {
		text := "database: {url: \"sqlite:" + servicetest.WriteFile(t, name+".db", "") + "\"}\n" + more
		files = append(files, servicetest.WriteFile(t, name+".yaml", text))
		more = ""
	}
	return files
}

func TestTheCommandServesSeveralServicesOnOnePage(t *testing.T) {
	served(t, append([]string{"--console-address", "127.0.0.1:0"}, serviceFiles(t, "")...)...)
}

func TestAFlagTakesTheRightToWriteFromAConsoleOfSeveralFiles(t *testing.T) {
	files := serviceFiles(t, "console: {write: true, address: '127.0.0.1:0'}\n")
	wantText(t, served(t, files...), "write=true")
	wantText(t, served(t, append(files, "--console-write=false")...), "write=false")
	t.Setenv("PARLEY_CONSOLE_WRITE", "false")
	wantText(t, served(t, files...), "write=false")
	wantText(t, served(t, append(files, "--console-write")...), "write=true")
}

func TestAddressAndAccountsOfAConsoleMayComeFromDifferentLayers(t *testing.T) {
	line, err := console.PasswordLine("ada", "reader", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	accounts := servicetest.WriteFile(t, "console.passwords", line+"\n")
	files := serviceFiles(t, "console: {password_file: '"+accounts+"'}\n")
	wantText(t, served(t, append(files, "--console-address=0.0.0.0:0")...), "console: listening")
	files = serviceFiles(t, "console: {address: '0.0.0.0:0'}\n")
	wantText(t, served(t, append(files, "--console-password-file="+accounts)...), "console: listening")
	wantText(t, mustCall(t, ExitUsage, append([]string{"console"}, files...)...), "console.password_file")
}

func TestAConsoleServesAServiceThatHasOnlyBrokerURLs(t *testing.T) {
	file := servicetest.WriteFile(t, "parley.yaml", "broker: {urls: ['amqp://guest:guest@127.0.0.1:1/', 'amqp://guest:guest@127.0.0.1:2/']}\n")
	served(t, file, "--console-address=127.0.0.1:0")
	if out := mustCall(t, ExitOK, "settings", "check", "--settings", file); strings.Contains(out, "broker.url are not set") {
		t.Errorf("broker.urls count as no broker:\n%s", out)
	}
}

func TestCompletionAndConsoleCreateNoSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mistyped.db")
	completed(t, "parked", "show", "--database-url=sqlite:"+path, "")
	ctx, cancel := context.WithTimeout(t.Context(), servicetest.Patience) // a console that serves would not return
	defer cancel()
	var errs bytes.Buffer
	root := NewOperator("parley", "test")
	root.SetErr(&errs)
	code := Execute(ctx, root, []string{"console", "--console-address=127.0.0.1:0", "--database-url=sqlite:" + path})
	if code != ExitFailed || !strings.Contains(errs.String(), "does not exist") {
		t.Errorf("console: exit code %d, want %d and an error about the file:\n%s", code, ExitFailed, errs.String())
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a mistyped name exists (%v)", err)
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
