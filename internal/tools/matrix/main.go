//go:build linux

// Command matrix runs the suites against several versions of the servers, which it starts in chroots of Debian, and prints a table:
//
//	go run ./internal/tools/matrix [-rows host,trixie,sid,sid-quorum,sid-strict] [-suites rabbitmq,…] [-write docs/compatibility.md]
//
// It must be root. It makes the chroots with debootstrap in $PARLEY_MATRIX_CACHE, else in the user's cache folder, and keeps them.
// A failing suite does not stop the others, and makes the exit code 1.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

func main() {
	chosenRows := flag.String("rows", "", "rows to run (default all)")
	chosenSuites := flag.String("suites", "", "suites to run (default all)")
	page := flag.String("write", "", "page whose table is replaced (docs/compatibility.md)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *chosenRows, *chosenSuites, *page)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, chosenRows, chosenSuites, page string) error {
	if os.Geteuid() != 0 {
		return errors.New("starting servers in a chroot needs root (run it with sudo)")
	}
	todo, err := plan(chosenRows, chosenSuites)
	if err != nil {
		return err
	}
	var results []result
	var errs []error
	for _, r := range todo {
		done, err := runRow(ctx, r)
		results = append(results, done...)
		if err != nil {
			errs = append(errs, fmt.Errorf("row %s: %w", r.name, err))
		}
	}
	fmt.Print(table(results))
	if page != "" {
		called := strings.Join(append([]string{"go run ./internal/tools/matrix"}, os.Args[1:]...), " ")
		errs = append(errs, writeTable(page, called, table(results), time.Now()))
	}
	for _, r := range results {
		for _, f := range r.failures {
			errs = append(errs, fmt.Errorf("%s: %s", r.row, f))
		}
	}
	return errors.Join(errs...)
}

// rootOf returns the folder of a system, and makes a chroot that is missing.
func rootOf(ctx context.Context, system string) (string, error) {
	if system == "host" {
		return "/", nil
	}
	cache := os.Getenv("PARLEY_MATRIX_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(dir, "parley", "matrix")
	}
	root := filepath.Join(cache, system)
	return root, makeChroot(ctx, system, root)
}

func runRow(ctx context.Context, r row) (results []result, err error) {
	root, err := rootOf(ctx, r.system)
	if err != nil {
		return nil, err
	}
	var versions, env []string
	for _, k := range []struct {
		server  testenv.Server
		account string
		start   func(context.Context, *node, string) error
	}{
		{testenv.RabbitMQServer, "rabbitmq", startRabbit},
		{testenv.PostgreSQL, "postgres", startPostgres},
		{testenv.MariaDBServer, "mysql", startMySQL},
	} {
		n, err := newNode(root, k.account)
		if err != nil {
			return nil, err
		}
		defer n.end()
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		if err := k.start(ctx, n, port); err != nil {
			return nil, err
		}
		version, err := n.ready(ctx, k.server)
		if err != nil {
			return nil, err
		}
		if k.server.Name == testenv.RabbitMQServer.Name {
			if err := vary(ctx, n, r); err != nil {
				return nil, err
			}
		}
		versions, env = append(versions, version), append(env, k.server.Variable+"="+n.address)
	}
	for _, suite := range r.suites {
		results = append(results, runSuite(ctx, r.name, suite, serversOf(suite, versions), env))
	}
	return results, nil
}

// serversOf returns the servers that a suite uses; versions are RabbitMQ, PostgreSQL, MariaDB.
func serversOf(suite string, versions []string) string {
	switch suite {
	case "rabbitmq":
		return versions[0]
	case "postgres":
		return versions[1]
	case "mysql":
		return versions[2]
	}
	return strings.Join(versions, ", ")
}

func runSuite(ctx context.Context, row, suite, servers string, env []string) result {
	out := result{row: row, suite: suite, servers: servers}
	began := time.Now()
	args := append([]string{"test", "-json", "-count=1", "-p", "1", "-timeout", "20m"}, suitePackages[suite]...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, os.Stderr
	runErr := cmd.Run()
	readErr := out.read(&printed)
	if out.failed == 0 && (runErr != nil || readErr != nil) {
		out.failed = 1
		out.failures = []string{fmt.Sprintf("%s: %v", suite, errors.Join(runErr, readErr))}
	}
	out.seconds = time.Since(began).Seconds()
	fmt.Fprintf(os.Stderr, "%s %s: %d passed, %d skipped, %d failed in %.0fs\n", row, suite, out.passed, out.skipped, out.failed, out.seconds)
	return out
}
