//go:build unix

package faulttests_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley/internal/testenv"
)

// A server is a private PostgreSQL, MariaDB or RabbitMQ of a test, with its own port and folder. The test ends it by its
// pid. The machine's servers are not touched.
type server struct {
	t    *testing.T
	name string
	// root is the system that the server runs in, "/" or a chroot; dir is the server's folder within it.
	root    string
	dir     string
	port    int
	url     string
	as      *syscall.Credential
	command []string
	env     []string
	// login returns nil when the server accepts a login.
	login func(ctx context.Context, url string) error

	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	opened time.Time     // when its port was first open
}

// newServer creates the folder. As root it belongs to the server's account, because servers do not run as root.
func newServer(t *testing.T, name, account string) *server {
	t.Helper()
	s := &server{t: t, name: name, root: systemRoot()}
	temporary := os.TempDir()
	if s.root != "/" {
		temporary = filepath.Join(s.root, "tmp")
	}
	// A short path: PostgreSQL puts a socket there, and those have at most 107 bytes.
	outside, err := os.MkdirTemp(temporary, "parley-faults-")
	if err != nil {
		t.Fatal(err)
	}
	s.dir = "/" + strings.TrimPrefix(strings.TrimPrefix(outside, s.root), "/")
	t.Cleanup(func() { _ = os.RemoveAll(outside) })
	if os.Geteuid() == 0 {
		if s.as, err = credentialIn(s.root, account); err != nil {
			t.Fatalf("look up the account of %s: %v", name, err)
		}
		if err := os.Chown(outside, int(s.as.Uid), int(s.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	s.port = freePort(t)
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// write creates a file in the server's folder.
func (s *server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file(name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// file returns the path of a file in the server's folder, as this process sees it.
func (s *server) file(name string) string { return filepath.Join(s.root, s.dir, name) }

// executable finds a program in Debian's folders, which are not in PATH. The path is that within the system of the servers.
func executable(t *testing.T, patterns ...string) string {
	t.Helper()
	root := systemRoot()
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) > 0 {
			return "/" + strings.TrimPrefix(strings.TrimPrefix(found[len(found)-1], root), "/")
		}
		if path, err := exec.LookPath(filepath.Base(pattern)); err == nil && root == "/" {
			return path
		}
	}
	t.Fatalf("%s not found (install the server's package)", filepath.Base(patterns[0]))
	return ""
}

func privatePostgres(t *testing.T) *server {
	t.Helper()
	s := newServer(t, "PostgreSQL", "postgres")
	data := filepath.Join(s.dir, "data")
	initdb := executable(t, "/usr/lib/postgresql/*/bin/initdb")
	s.run(initdb, "--pgdata="+data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--data-checksums")
	s.command = []string{
		executable(t, "/usr/lib/postgresql/*/bin/postgres"), "-D", data, "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir,
	}
	s.url = fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", canary, s.port) // the server accepts any password
	s.login = func(ctx context.Context, url string) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	t.Cleanup(s.end)
	s.start()
	return s
}

// privateMariaDB takes further arguments of the server.
func privateMariaDB(t *testing.T, args ...string) *server {
	t.Helper()
	s := newServer(t, "MariaDB", "mysql")
	data := filepath.Join(s.dir, "data")
	s.run(executable(t, "/usr/bin/mariadb-install-db"), "--no-defaults", "--datadir="+data, "--skip-test-db", "--auth-root-authentication-method=normal")
	s.write("init.sql", "CREATE DATABASE IF NOT EXISTS faults CHARACTER SET utf8mb4;\nCREATE USER IF NOT EXISTS faults@'127.0.0.1' IDENTIFIED BY '"+
		canary+"';\nGRANT ALL ON *.* TO faults@'127.0.0.1' WITH GRANT OPTION;\n")
	s.command = append([]string{
		executable(t, "/usr/sbin/mariadbd"), "--no-defaults", "--datadir=" + data, "--port=" + strconv.Itoa(s.port), "--bind-address=127.0.0.1",
		"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"), "--skip-name-resolve",
		"--init-file=" + filepath.Join(s.dir, "init.sql"),
	}, args...)
	s.url = fmt.Sprintf("mysql://faults:%s@127.0.0.1:%d/faults", canary, s.port)
	s.login = func(ctx context.Context, _ string) error {
		db, err := sql.Open("mysql", fmt.Sprintf("faults:%s@tcp(127.0.0.1:%d)/faults", canary, s.port))
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	}
	t.Cleanup(s.end)
	s.start()
	return s
}

func privateRabbitMQ(t *testing.T) *server {
	t.Helper()
	return privateRabbitMQWith(t, "[].")
}

// privateRabbitMQWith accepts settings in Erlang syntax that rabbitmq.conf does not have.
func privateRabbitMQWith(t *testing.T, advanced string) *server {
	t.Helper()
	s := newServer(t, "RabbitMQ", "rabbitmq")
	s.write("advanced.config", advanced+"\n")
	s.write("rabbitmq.conf", "default_user = faults\ndefault_pass = "+canary+"\n")
	s.command = []string{executable(t, "/usr/lib/rabbitmq/bin/rabbitmq-server")}
	s.env = []string{
		"HOME=" + s.dir, "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_FLAGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RUNNING_UNDER_SYSTEMD=true", // the script execs the node, so there is one pid
		"RABBITMQ_NODENAME=" + s.node(), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + strconv.Itoa(s.port),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(freePort(t)), "RABBITMQ_MNESIA_BASE=" + filepath.Join(s.dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(s.dir, "log"), "RABBITMQ_PID_FILE=" + filepath.Join(s.dir, "pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(s.dir, "enabled_plugins"),
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(s.dir, "none"), "RABBITMQ_CONFIG_FILE=" + filepath.Join(s.dir, "rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + filepath.Join(s.dir, "advanced.config"),
	}
	s.url = fmt.Sprintf("amqp://faults:%s@127.0.0.1:%d/", canary, s.port)
	s.login = amqpLogin
	t.Cleanup(s.end)
	s.start()
	return s
}

func amqpLogin(_ context.Context, url string) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (s *server) node() string { return fmt.Sprintf("parley-faults-%d@localhost", s.port) }

// control runs rabbitmqctl on this node.
func (s *server) control(args ...string) {
	s.t.Helper()
	s.run(executable(s.t, "/usr/lib/rabbitmq/bin/rabbitmqctl"), append([]string{"--node", s.node()}, args...)...)
}

// chroot returns the folder that the server's processes are confined to, or "" without one.
func (s *server) chroot() string {
	if s.root == "/" {
		return ""
	}
	return s.root
}

// try is control that returns the output and the error.
func (s *server) try(args ...string) (string, error) {
	return s.output(executable(s.t, "/usr/lib/rabbitmq/bin/rabbitmqctl"), append([]string{"--node", s.node()}, args...)...)
}

// run runs a program under the server's account and waits for its end.
func (s *server) run(name string, args ...string) {
	s.t.Helper()
	if out, err := s.output(name, args...); err != nil {
		s.t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}

// output is run that returns the output and the error.
func (s *server) output(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Chroot: s.chroot()}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// start starts the server, with retries: after kill -9 the remains of the old process may prevent the
// start. It returns when a login succeeds.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	s.opened = time.Time{}
	defer func() {
		if log, err := os.ReadFile(s.file("server.log")); err == nil && s.t.Failed() {
			s.t.Logf("the last log lines of %s:\n%s", s.name, log[max(0, len(log)-lastWords):])
		}
	}()
	eventually(s.t, s.name+" serves", func() bool {
		select {
		case <-s.ended:
			s.launch()
			return false
		default:
		}
		if s.opened.IsZero() {
			conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
			if err != nil {
				return false
			}
			_ = conn.Close()
			s.opened = time.Now()
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		return s.login(ctx, s.url) == nil
	})
}

func (s *server) launch() {
	s.t.Helper()
	log, err := os.OpenFile(s.file("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(s.command[0], s.command[1:]...)
	s.cmd.Dir, s.cmd.Env = s.dir, append(os.Environ(), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = orphan()
	s.cmd.SysProcAttr.Setpgid, s.cmd.SysProcAttr.Credential, s.cmd.SysProcAttr.Chroot = true, s.as, s.chroot()
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan<- struct{}) {
		_ = cmd.Wait() // its state has the result
		close(ended)
	}(s.cmd, s.ended)
}

// signal ends the server with a signal and checks that this signal ended it.
func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatalf("%s did not end within %v", s.name, patience)
	}
	status := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if sig == syscall.SIGKILL && (!status.Signaled() || status.Signal() != sig) {
		s.t.Fatalf("%s ended with %v, want %v", s.name, s.cmd.ProcessState, sig)
	}
}

// end ends the server and its child processes.
func (s *server) end() {
	if s.cmd == nil {
		return
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		s.t.Error(err)
	}
	<-s.ended
}
