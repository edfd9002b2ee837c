package deploycheck

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

// patience bounds each wait for a process or a server.
const patience = time.Minute

// buildParley builds cmd/parley into a new folder, and returns the file.
func buildParley(t *testing.T, ldflags string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "parley")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", ldflags, "-o", file, ".")
	cmd.Dir = filepath.Join(deploy, "..", "cmd", "parley")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

// A process collects the output of a relay that runs.
type process struct {
	*exec.Cmd
	mu sync.Mutex
	// mu guards the field below.
	out bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// relayTheFirstEvent follows docs/deploy.md on real servers: it migrates, starts the relay, waits until it is ready, publishes an event, gets it
// from a queue, and stops the relay with SIGTERM, which must take less than limit. environment has the settings of the servers.
func relayTheFirstEvent(t *testing.T, migrate, relay func(environment ...string) *exec.Cmd, limit time.Duration, environment ...string) {
	t.Helper()
	address := freeAddress(t)
	environment = append(environment, "PARLEY_HTTP_ADDRESS="+address)
	run(t, migrate(environment...), "up to date")
	p := &process{Cmd: relay(environment...)}
	p.Stdout, p.Stderr = p, p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		if t.Failed() {
			t.Logf("the relay printed:\n%s", p.output())
		}
	})
	until(t, "the relay is ready", func(ctx context.Context) error { return ready(ctx, "http://"+address+"/readyz") })
	name, pull := queue(t)
	publish := relay(environment...)
	publish.Args = append(publish.Args[:len(publish.Args)-2], "publish", name, "placed", "--payload", `{"order": 7}`, publish.Args[len(publish.Args)-1])
	run(t, publish, "")
	until(t, "the event arrives", func(ctx context.Context) error {
		d, _, err := pull.Next(ctx)
		if err != nil || d == nil {
			return fmt.Errorf("no message (%v)", err)
		}
		if !strings.Contains(string(d.Body), `"order"`) || d.RoutingKey != "placed" {
			t.Errorf("got %s with the key %s", d.Body, d.RoutingKey)
		}
		return d.Settle(parley.SettleAck)
	})
	begin := time.Now()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil || time.Since(begin) > limit {
		t.Errorf("after SIGTERM the relay ended with %v, after %v (limit %v)", err, time.Since(begin), limit)
	}
}

func run(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Fatalf("%q: %v, want %q in the output:\n%s", cmd.Args, err, want, out)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until calls f until it returns nil.
func until(t *testing.T, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v until %s: %v", patience, what, err)
		}
	}
}

func ready(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// queue declares an exchange and a queue of one name that belong to this test.
func queue(t *testing.T) (name string, p parley.Puller) {
	t.Helper()
	b, err := rabbitmq.New(&rabbitmq.Config{URL: testenv.RabbitMQ(t)})
	if err != nil {
		t.Fatal(err)
	}
	name = testenv.Unique(t, "deploy")
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(func() {
		defer cancel()
		for _, err := range []error{b.DeleteQueue(ctx, name), b.DeleteExchange(ctx, name), b.Close(ctx)} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	topology := parley.Topology{
		Exchanges: []parley.Exchange{{Name: name}}, Queues: []parley.Queue{{Name: name}}, Bindings: []parley.Binding{{Queue: name, Exchange: name}},
	}
	if err := b.Declare(ctx, topology); err != nil {
		t.Fatal(err)
	}
	if p, err = b.Pull(ctx, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return name, p
}

// install runs the commands of docs/deploy.md that install the units, below a root of its own, and returns the root. The commands that need
// systemd must name units that were installed.
func install(t *testing.T, binary string) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, folder := range []string{"usr/local/bin", "etc/systemd/system"} { // every system has them
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, text, _ := strings.Cut(string(read(t, filepath.Join(deploy, "..", "docs", "deploy.md"))), "\n## Plain processes with systemd\n")
	_, text, _ = strings.Cut(text, "\n```sh fragment\n")
	text, _, _ = strings.Cut(text, "\n```\n")
	ran, named := 0, 0
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		switch fields := strings.Fields(line); fields[0] {
		case "install":
			cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.NewReplacer(" parley /", " "+binary+" "+root+"/", " /", " "+root+"/").Replace(line))
			cmd.Dir = filepath.Join(deploy, "..")
			run(t, cmd, "")
			ran++
		case "systemctl":
			if name := fields[len(fields)-1]; name != "daemon-reload" {
				unitOf(t, filepath.Join(root, "etc/systemd/system", name+".service"))
				named++
			}
		case "curl": // the test asks for the same path
		default:
			t.Errorf("docs/deploy.md has the command %q, which this test does not know", line)
		}
	}
	if ran != 5 || named != 2 {
		t.Errorf("docs/deploy.md installs with %d commands and starts %d units, want 5 and 2", ran, named)
	}
	return root
}

// The path of docs/deploy.md without containers: what its commands install runs the same way without systemd, with the credentials and the
// settings file in their places below another root.
func TestTheUnitsPublishAnEventOnRealServers(t *testing.T) {
	testenv.Long(t, "builds a program and starts processes")
	database, broker := testenv.Postgres(t), testenv.RabbitMQ(t)
	root := install(t, buildParley(t, ""))
	for name, content := range map[string]string{"broker-url": broker, "database-url": database, "database-owner-url": database} {
		if err := os.WriteFile(filepath.Join(root, "etc/parley/credentials", name), []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(name string) func(environment ...string) *exec.Cmd {
		u := unitOf(t, filepath.Join(root, "etc/systemd/system", name))
		return func(environment ...string) *exec.Cmd {
			args := u.command(t)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "/etc/parley", filepath.Join(root, "etc/parley"))
			}
			cmd := exec.Command(filepath.Join(root, "usr/local/bin/parley"), args...)
			cmd.Env = append([]string{}, environment...) // nothing of this test's environment, as with systemd
			for _, e := range u["Environment"] {
				variable, file, _ := strings.Cut(e, "=%d/")
				cmd.Env = append(cmd.Env, variable+"="+filepath.Join(root, u.credentials()[file]))
			}
			return cmd
		}
	}
	limit, err := time.ParseDuration(readUnit(t, units[0])["TimeoutStopSec"][0])
	if err != nil {
		t.Fatal(err)
	}
	relayTheFirstEvent(t, command(units[1]), command(units[0]), limit)
}
