//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// packages are what each system needs beside the base of Debian.
var packages = map[string][]string{
	"trixie": {"rabbitmq-server", "postgresql-17", "mariadb-server"},
	"sid":    {"rabbitmq-server", "postgresql-18", "mysql-server"},
}

// makeChroot makes a chroot of a Debian suite with its servers, unless root holds a complete one already, and mounts /proc and /dev.
func makeChroot(ctx context.Context, suite, root string) error {
	complete := filepath.Join(root, "etc", "parley-matrix")
	if _, err := os.Stat(complete); err != nil {
		if err := install(ctx, suite, root); err != nil {
			return fmt.Errorf("make a chroot of Debian %s: %w", suite, err)
		}
		if err := os.WriteFile(complete, []byte(suite+"\n"), 0o644); err != nil {
			return err
		}
	}
	return mount(ctx, root)
}

func install(ctx context.Context, suite, root string) error {
	if _, err := os.Stat(filepath.Join(root, "usr/bin/apt-get")); err != nil {
		if _, err := exec.LookPath("debootstrap"); err != nil {
			return errors.New("debootstrap is missing (apt-get install debootstrap)")
		}
		mirror, err := debianMirror()
		if err != nil {
			return err
		}
		if err := command(ctx, "debootstrap", "--variant=minbase", "--include=ca-certificates,procps", suite, root, mirror); err != nil {
			return err
		}
	}
	// No service may start: the machine's own servers have the usual ports.
	if err := os.WriteFile(filepath.Join(root, "usr/sbin/policy-rc.d"), []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	if err := copySettings(root); err != nil {
		return err
	}
	if err := mount(ctx, root); err != nil {
		return err
	}
	if err := command(ctx, "chroot", root, "apt-get", "-q", "-o", "Acquire::Check-Valid-Until=false", "update"); err != nil {
		return err
	}
	args := []string{root, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get", "-q", "-y", "--no-install-recommends", "install"}
	return command(ctx, "chroot", append(args, packages[suite]...)...)
}

// copySettings copies what apt needs to reach the archive: the resolver, and the settings of proxies and certificates.
func copySettings(root string) error {
	files, err := filepath.Glob("/etc/apt/apt.conf.d/*")
	if err != nil {
		return err
	}
	copied := []string{"/etc/resolv.conf", "/etc/hosts"}
	for _, f := range files {
		if name := filepath.Base(f); strings.Contains(name, "proxy") || strings.Contains(name, "cert") {
			copied = append(copied, f)
		}
	}
	for _, f := range copied {
		data, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, f), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func mount(ctx context.Context, root string) error {
	if _, err := os.Stat(filepath.Join(root, "proc/self")); err != nil {
		if err := command(ctx, "mount", "-t", "proc", "proc", filepath.Join(root, "proc")); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(root, "dev/shm")); err != nil {
		return command(ctx, "mount", "--rbind", "/dev", filepath.Join(root, "dev"))
	}
	return nil
}

// debianMirror returns the archive that the machine's own apt uses.
func debianMirror() (string, error) {
	files, err := filepath.Glob("/etc/apt/sources.list.d/*")
	if err != nil {
		return "", err
	}
	for _, f := range append([]string{"/etc/apt/sources.list"}, files...) {
		data, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if m := mirrorIn(string(data)); m != "" {
			return m, nil
		}
	}
	return "", errors.New("the sources of apt name no Debian archive")
}

// mirrorIn returns the first Debian archive in a file of sources, of either format.
func mirrorIn(sources string) string {
	for line := range strings.Lines(sources) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "URIs:") && !strings.HasPrefix(line, "deb ") {
			continue
		}
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "http") && strings.HasSuffix(strings.TrimSuffix(word, "/"), "/debian") {
				return word
			}
		}
	}
	return ""
}

// command runs a program; its output goes to stderr, because stdout has the table.
func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
