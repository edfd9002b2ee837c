//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// A node is a server that was started as a child process.
type node struct {
	root, account, dir, address string // dir is the path within root
	env                         []string
	children                    []*exec.Cmd
}

func newNode(root, account string) (*node, error) {
	dir, err := os.MkdirTemp(filepath.Join(root, "/var/tmp"), "pm-")
	if err != nil {
		return nil, err
	}
	n := &node{root: root, account: account, dir: strings.TrimPrefix(dir, strings.TrimSuffix(root, "/"))}
	c, err := n.credential()
	if err != nil {
		return nil, err
	}
	return n, os.Chown(dir, int(c.Uid), int(c.Gid))
}

// credential reads the account from the passwd file of the root.
func (n *node) credential() (*syscall.Credential, error) {
	text, err := os.ReadFile(filepath.Join(n.root, "etc/passwd"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[0] == n.account {
			uid, err1 := strconv.ParseUint(f[2], 10, 32)
			gid, err2 := strconv.ParseUint(f[3], 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
		}
	}
	return nil, fmt.Errorf("%s has no account %q (is the server installed?)", n.root, n.account)
}

func (n *node) command(ctx context.Context, path string, args ...string) (*exec.Cmd, error) {
	found, _ := filepath.Glob(filepath.Join(n.root, path))
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no %s", n.root, path)
	}
	c, err := n.credential()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/"+strings.TrimPrefix(strings.TrimPrefix(found[len(found)-1], n.root), "/"), args...)
	cmd.Dir, cmd.Env = n.dir, append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=" + n.dir}, n.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if n.root != "/" {
		cmd.SysProcAttr.Chroot = n.root
	}
	return cmd, nil
}

func (n *node) run(ctx context.Context, path string, args ...string) error {
	cmd, err := n.command(ctx, path, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, out)
	}
	return nil
}

func (n *node) launch(ctx context.Context, path string, args ...string) error {
	cmd, err := n.command(ctx, path, args...)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(n.root, n.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	n.children = append(n.children, cmd)
	return nil
}

// end kills the process groups of the server by their ids and removes its folder.
func (n *node) end() {
	for _, cmd := range n.children {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
	_ = os.RemoveAll(filepath.Join(n.root, n.dir))
}

// ready waits until the server accepts a login, and returns its version.
func (n *node) ready(ctx context.Context, s testenv.Server) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute) // a busy machine starts servers slowly
	defer cancel()
	for {
		version, err := s.Version(ctx, n.address)
		if err == nil {
			name := s.Name
			if name == testenv.MariaDBServer.Name && !strings.Contains(version, "MariaDB") {
				name = "MySQL"
			}
			version, _, _ = strings.Cut(strings.Fields(version)[0], "-")
			return name + " " + version, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s does not answer: %w", s.Name, err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func freePort() (string, error) {
	port, err := testenv.FreePort()
	return strconv.Itoa(port), err
}
