//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

const policyFile = "/usr/sbin/policy-rc.d"

// provideCompiler installs a C compiler if there is none, because the race detector is linked
// by it.
func provideCompiler(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "CC").Output()
	if err != nil {
		return fmt.Errorf("read the C compiler from go env: %w", err)
	}
	fields := strings.Fields(string(out))
	if len(fields) > 0 {
		if _, err := exec.LookPath(fields[0]); err == nil {
			return nil
		}
	}
	if err := installPackages(ctx, []string{"gcc", "libc6-dev"}); err != nil {
		return fmt.Errorf("no C compiler for the race detector: %w (install gcc and libc6-dev, or set CC)", err)
	}
	return nil
}

// providePromtool installs promtool, for the tests of the alert rules. Without it these tests are skipped.
func providePromtool(ctx context.Context) {
	if _, err := exec.LookPath("promtool"); err == nil {
		return
	}
	if err := installPackages(ctx, []string{"prometheus"}); err != nil {
		fmt.Fprintln(os.Stderr, "testservers: no promtool, the alert rules are not tested:", err)
	}
}

// provideBrowser installs a Chromium browser for the tests of the console, in CI or if PARLEY_TEST_INSTALL is 1. Without one these tests are
// skipped.
func provideBrowser(ctx context.Context) error {
	path, err := testenv.FindChromium()
	if err != nil || path != "" {
		return err
	}
	if err := installPackages(ctx, []string{"chromium-headless-shell"}); err != nil {
		fmt.Fprintln(os.Stderr, "testservers: no Chromium, the console is not tested in a browser:", err)
	}
	return nil
}

// installPackages installs Debian packages if the process is root, in CI or with PARLEY_TEST_INSTALL=1.
func installPackages(ctx context.Context, packages []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s not installed, and there is no apt-get to install it", strings.Join(packages, ", "))
	}
	if os.Getenv("CI") == "" && os.Getenv(testenv.InstallVariable) != "1" {
		return fmt.Errorf("%s not installed (run \"sudo apt-get install %s\", or as root set %s=1)", strings.Join(packages, ", "), strings.Join(packages, " "), testenv.InstallVariable)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s not installed (run \"sudo apt-get install %s\")",
			strings.Join(packages, ", "), strings.Join(packages, " "))
	}
	fmt.Fprintln(os.Stderr, "testservers: installing", strings.Join(packages, ", "))
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	err = aptGet(ctx, "update")
	if err == nil {
		err = aptGet(ctx, slices.Concat([]string{"install", "--yes", "--no-install-recommends"}, packages)...)
	}
	return errors.Join(err, allow())
}

func aptGet(ctx context.Context, args ...string) error {
	args = slices.Concat([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120", "--quiet"}, args)
	if err := quietly(ctx, 8*time.Minute, "env", args...); err != nil {
		return fmt.Errorf("apt-get: %w", err)
	}
	return nil
}

// forbidServices prevents packages from starting their server at installation: it would
// take the usual port, with an account that we do not know. The returned function undoes
// this. An existing policy of the machine is not changed.
func forbidServices() (allow func() error, err error) {
	f, err := os.OpenFile(policyFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("#!/bin/sh\n# Written by parley's testservers for one installation.\nexit 101\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(policyFile))
	}
	return func() error { return os.Remove(policyFile) }, nil
}
