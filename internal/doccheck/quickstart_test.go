package doccheck

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// docs/quickstart.md works as it is written: the test writes its files and runs its commands in
// order. It changes only the names of queue and exchange, because the broker is shared, and the
// addresses of the servers.
func TestTheQuickstartWorksAsWritten(t *testing.T) {
	testenv.Long(t, "builds programs")
	clone, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	q := &reader{t: t, dir: t.TempDir(), clone: clone, unique: testenv.Unique(t, "quickstart")}
	if err := os.Symlink(clone, filepath.Join(q.dir, "parley")); err != nil {
		t.Fatal(err)
	}
	q.servers(testenv.Postgres(t), testenv.RabbitMQ(t))
	for _, d := range documents(t) {
		if d.path != "docs/quickstart.md" {
			continue
		}
		for _, b := range d.blocks {
			q.follow(&b)
		}
	}
	if q.commands < 10 {
		t.Errorf("ran %d commands (does docs/quickstart.md still have its sh blocks?)", q.commands)
	}
}

// A reader follows the instructions of a document.
type reader struct {
	t        *testing.T
	dir      string // where the commands run
	clone    string
	unique   string
	database string
	broker   string
	onServer bool // the settings now name servers
	commands int
}

func (q *reader) servers(database, broker string) {
	q.database, q.broker = database, broker
	q.t.Cleanup(func() {
		b, err := rabbitmq.New(&rabbitmq.Config{URL: broker})
		if err != nil {
			q.t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		for _, suffix := range []string{"", ".retry.10s", ".retry.1m", ".retry.10m", ".parked"} {
			if err := b.DeleteQueue(ctx, q.unique+suffix); err != nil {
				q.t.Error(err)
			}
		}
		if err := b.DeleteExchange(ctx, q.unique); err != nil {
			q.t.Error(err)
		}
		if err := b.Close(ctx); err != nil {
			q.t.Error(err)
		}
	})
}

func (q *reader) follow(b *block) {
	q.t.Helper()
	if file := b.attribute("file"); file != "" {
		code := strings.ReplaceAll(b.code, "quickstart-user", q.unique)
		q.onServer = strings.Contains(code, "amqp://")
		write(q.t, filepath.Join(q.dir, file), []byte(code))
		return
	}
	if b.lang != "sh" {
		return
	}
	dir := q.dir
	if b.attribute("dir") == "clone" {
		dir = q.clone
	}
	for line := range strings.Lines(b.code) {
		line = strings.TrimSpace(line)
		q.commands++
		switch name, isCd := strings.CutPrefix(line, "cd "); {
		case isCd:
			q.dir = filepath.Join(q.dir, name)
			dir = q.dir
			copySums(q.t, q.dir)
		case b.attribute("until") != "":
			q.runUntil(b, dir, line, b.attribute("until"))
		default:
			if out, err := q.command(dir, line).CombinedOutput(); err != nil {
				q.t.Fatalf("%s:%d: %s: %v\n%s", b.path, b.line, line, err, out)
			}
		}
	}
}

func (q *reader) command(dir, line string) *exec.Cmd {
	args := strings.Fields(line)
	if strings.ContainsAny(line, "$;") {
		args = []string{"sh", "-c", line}
	}
	cmd := exec.CommandContext(q.t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PARLEY_QUEUE="+q.unique)
	if q.onServer {
		cmd.Env = append(cmd.Env, "PARLEY_DATABASE_URL="+q.database, "PARLEY_BROKER_URL="+q.broker)
	}
	return cmd
}

// runUntil runs a command that does not end on its own, and interrupts it after it has
// printed text.
func (q *reader) runUntil(b *block, dir, line, text string) {
	q.t.Helper()
	cmd := q.command(dir, line)
	var diagnostics bytes.Buffer
	cmd.Stderr = &diagnostics
	out, err := cmd.StdoutPipe()
	if err != nil {
		q.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		q.t.Fatal(err)
	}
	patience := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer patience.Stop()
	seen := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !seen && strings.Contains(lines.Text(), text) {
			seen = true
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				q.t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !seen {
		q.t.Fatalf("%s:%d: %s: printed %q: %t, ended with %v\n%s", b.path, b.line, line, text, seen, err, &diagnostics)
	}
}
