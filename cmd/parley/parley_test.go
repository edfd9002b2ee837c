package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-go/parley/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv("PARLEY_TEST_BE_PARLEY") == "1" {
		main() // the test binary acts as the command
		return
	}
	goleak.VerifyTestMain(m)
}

// program returns a process that runs the command with args.
func program(ctx context.Context, t *testing.T, args ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out = &bytes.Buffer{}
	cmd = exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), "PARLEY_TEST_BE_PARLEY=1")
	cmd.Dir = t.TempDir()
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

func TestDemoNeedsNoServerAndSucceedsInUnderTenSeconds(t *testing.T) {
	start := time.Now()
	cmd, out := program(t.Context(), t, "demo")
	if err := cmd.Run(); err != nil {
		t.Errorf("the demo failed: %v\n%s", err, out)
	}
	if took := time.Since(start); testenv.Late(t, took, 10*time.Second) {
		t.Errorf("the demo took %v", took)
	}
	for _, want := range []string{"SQLite", "rolled back", "cancelled", "received", "Exactly the right events arrived"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

func TestDemoLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	cmd, out := program(t.Context(), t, "demo")
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	if err := cmd.Run(); err != nil {
		t.Errorf("the demo failed: %v\n%s", err, out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%d files are left (%v), want none", len(left), err)
	}
}

func TestOneStopThatArrivesAsTwoSignalsIsGraceful(t *testing.T) {
	url := "--database-url=sqlite:" + filepath.Join(t.TempDir(), "test.db")
	cmd, _ := program(t.Context(), t, "relay", url, "--database-migrate", "--broker-url="+testenv.RabbitMQ(t), "--http-address=127.0.0.1:0")
	var out lines
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := awaitReady(ctx, &out); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the relay did not become ready: %v\n%s", err, &out)
	}
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGTERM, os.Interrupt} {
		if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after three signals at once the relay exited with %v, want exit code 0\n%s", err, &out)
	}
}

func TestExitCodesAreAsTheHelpSays(t *testing.T) {
	for _, tt := range []struct {
		want int
		args string
	}{
		{0, "version"}, {0, "help"}, {0, "help relay"}, {0, ""}, {2, "demoo"}, {2, "demo now"}, {2, "relay --no-such-flag"}, {2, "relay"},
		{2, "check --database-url=sqlite:new.db"}, {1, "migrate status --database-url=sqlite:new.db"},
	} {
		cmd, out := program(t.Context(), t, strings.Fields(tt.args)...)
		err := cmd.Run()
		if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != tt.want {
			t.Errorf("parley %s: exit code %d, want %d\n%s", tt.args, got, tt.want, out)
		}
	}
}
