//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// privateServer describes how to run a server of our own beside the machine's.
type privateServer struct {
	server testenv.Server
	// port is the preferred port, because later calls look there.
	port int
	// packages are the Debian packages with the programs.
	packages []string
	// programs returns the paths of the programs, or an error that names a missing one.
	programs func() (map[string]string, error)
	// account is the system account that the server runs as if we are root.
	account string
	// initialize fills dir before the first start. Nil means that there is nothing to do.
	initialize func(ctx context.Context, i *instance) error
	// command returns the server's command line and environment.
	command func(i *instance) (args, env []string, err error)
	// address returns the address for clients.
	address func(port int) string
}

// instance is one server of our own: its directory, port and programs.
type instance struct {
	privateServer
	dir   string
	port  int
	paths map[string]string
	as    *syscall.Credential
}

func privateServers() []privateServer {
	return []privateServer{privatePostgres(), privateMariaDB(), privateRabbitMQ()}
}

func privateFor(s testenv.Server) privateServer {
	all := privateServers()
	return all[slices.IndexFunc(all, func(p privateServer) bool { return p.server.Name == s.Name })]
}

// startPrivate starts servers of our own, and installs missing packages.
func startPrivate(ctx context.Context, missing []testenv.Server) ([]located, error) {
	var packages []string
	for _, s := range missing {
		p := privateFor(s)
		if _, err := p.programs(); err != nil {
			packages = append(packages, p.packages...)
		}
	}
	var errs []error
	if len(packages) > 0 {
		errs = append(errs, installPackages(ctx, packages))
	}
	var started []located
	for _, s := range missing {
		l, err := privateFor(s).start(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("start %s: %w", s.Name, err))
			continue
		}
		started = append(started, l)
	}
	return started, errors.Join(errs...)
}

func (p privateServer) start(ctx context.Context) (located, error) {
	paths, err := p.programs()
	if err != nil {
		return located{}, err
	}
	port, err := freePort(p.port)
	if err != nil {
		return located{}, err
	}
	i := &instance{privateServer: p, port: port, paths: paths}
	if err := i.prepare(ctx); err != nil {
		return located{}, err
	}
	exited, err := i.launch()
	if err != nil {
		return located{}, err
	}
	return i.waitReady(ctx, exited)
}

// prepare creates the directory and its data.
func (i *instance) prepare(ctx context.Context) error {
	var err error
	if i.as, err = credential(i.account); err != nil {
		return err
	}
	if i.dir, err = i.serverDir(); err != nil {
		return err
	}
	ready := filepath.Join(i.dir, "initialized")
	if _, err := os.Stat(ready); err == nil {
		return nil
	}
	// Data without the mark is from an earlier attempt that was interrupted.
	if err := os.RemoveAll(i.dir); err != nil {
		return err
	}
	if err := os.Mkdir(i.dir, 0o700); err != nil {
		return err
	}
	if err := i.own(i.dir); err != nil {
		return err
	}
	if i.initialize != nil {
		if err := i.initialize(ctx, i); err != nil {
			return fmt.Errorf("initialize %s: %w", i.dir, err)
		}
	}
	return os.WriteFile(ready, nil, 0o600)
}

// launch starts the server as a daemon: it outlives this process and shares no open file
// with it. The returned channel is closed if the server exits.
func (i *instance) launch() (exited <-chan struct{}, err error) {
	args, env, err := i.command(i)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(i.logFile(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // a daemon: "stop" ends it, not the end of this process
	cmd.Dir, cmd.Env = i.dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: i.as}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	state := fmt.Sprintf("%d %d\n", cmd.Process.Pid, i.port)
	if err := os.WriteFile(filepath.Join(i.dir, "running"), []byte(state), 0o600); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill())
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the log has the cause
		close(done)
	}()
	return done, nil
}

// waitReady waits until the server takes a login.
func (i *instance) waitReady(ctx context.Context, exited <-chan struct{}) (located, error) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		version, err := i.server.Version(ctx, i.address(i.port))
		if err == nil {
			e := testenv.Endpoint{Server: i.server, Address: i.address(i.port), Version: version}
			return located{e, "started here; \"make servers-stop\" stops it"}, nil
		}
		select {
		case <-exited:
			return located{}, fmt.Errorf("the server exited at once%s", i.lastWords())
		case <-ctx.Done():
			return located{}, fmt.Errorf("the server does not answer: %w%s", err, i.lastWords())
		case <-tick.C:
		}
	}
}

func (i *instance) logFile() string { return filepath.Join(i.dir, "server.log") }

func (i *instance) lastWords() string {
	text, err := os.ReadFile(i.logFile())
	if err != nil {
		return ""
	}
	return lastLines(string(text), 5) + " (" + i.logFile() + ")"
}

// own changes the owner of a path to the server's account.
func (i *instance) own(path string) error {
	if i.as == nil {
		return nil
	}
	return os.Chown(path, int(i.as.Uid), int(i.as.Gid))
}

// do runs a program under the server's account, in its directory.
func (i *instance) do(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, i.paths[name], args...)
	cmd.Dir = i.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.as}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w%s", name, err, lastLines(string(out), 5))
	}
	return nil
}

// freePort returns the wanted port if it is free, else any free port.
func freePort(wanted int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(wanted)))
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return 0, err
		}
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(port))
}
