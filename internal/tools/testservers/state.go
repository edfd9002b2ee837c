//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// stopPatience is how long a server may take to end before it is killed.
const stopPatience = 30 * time.Second

// stateDir returns the directory of our own servers. It is outside the project, because a server
// that runs under another account cannot enter, for example, root's home. It must be
// ours, because every account can write to /var/tmp.
func stateDir() (string, error) {
	dir := filepath.Join("/var/tmp", fmt.Sprintf("parley-testservers-%d", os.Getuid()))
	err := os.Mkdir(dir, 0o711)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a directory of this account (remove it)", dir)
	}
	return dir, nil
}

// serverDir is the directory of one server of our own; it need not exist.
func (p privateServer) serverDir() (string, error) {
	state, err := stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(state, strings.ToLower(p.server.Name)), nil
}

// running returns the process id and port of our own server, if the process exists.
func (p privateServer) running() (pid, port int, ok bool) {
	dir, err := p.serverDir()
	if err != nil {
		return 0, 0, false
	}
	text, err := os.ReadFile(filepath.Join(dir, "running"))
	if err != nil {
		return 0, 0, false
	}
	if n, err := fmt.Sscan(string(text), &pid, &port); n != 2 || err != nil || pid <= 1 {
		return 0, 0, false
	}
	// After a reboot another process may have this id. Our server is the leader of its
	// session and runs in its directory.
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err == nil && cwd != dir && !strings.HasPrefix(cwd, dir+"/") {
		return 0, 0, false
	}
	return pid, port, syscall.Kill(-pid, 0) == nil
}

// findPrivate returns our own server from an earlier call, if it still answers.
func findPrivate(ctx context.Context, s testenv.Server) (located, bool) {
	p := privateFor(s)
	_, port, ok := p.running()
	if !ok {
		return located{}, false
	}
	version, err := s.Version(ctx, p.address(port))
	if err != nil {
		return located{}, false
	}
	e := testenv.Endpoint{Server: s, Address: p.address(port), Version: version}
	return located{e, "started by an earlier call; \"make servers-stop\" stops it"}, true
}

// stopPrivate stops all our own servers and removes their data.
func stopPrivate() error {
	var errs []error
	for _, p := range privateServers() {
		dir, err := p.serverDir()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if pid, port, ok := p.running(); ok {
			fmt.Printf("stopping %s at 127.0.0.1:%d\n", p.server.Name, port)
			errs = append(errs, endGroup(pid))
		}
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// endGroup terminates a process group, and kills it after stopPatience.
func endGroup(pid int) error {
	if err := syscall.Kill(-pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop process group %d: %w", pid, err)
	}
	deadline := time.After(stopPatience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(-pid, 0) == nil {
		select {
		case <-deadline:
			return syscall.Kill(-pid, syscall.SIGKILL)
		case <-tick.C:
		}
	}
	return nil
}

// credential returns the account to run as if we are root, else nil, because
// database servers do not run as root.
func credential(account string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(account)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
