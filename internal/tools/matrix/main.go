//go:build linux

// Command matrix runs the suites against several versions of the servers, which it starts in chroots of Debian, and prints a table:
//
//	go run ./internal/tools/matrix [-rows host,trixie,sid,sid-quorum,sid-strict] [-suites rabbitmq,…] [-limit 30m] [-write docs/compatibility.md]
//
// It must be root. It makes the chroots with debootstrap in $PARLEY_MATRIX_CACHE, else in the user's cache folder, and keeps them.
// A failing suite does not stop the others, and makes the exit code 1. With -write a line replaces the earlier line of its row and
// suite, so the rows can be run one by one.
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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

func main() {
	chosenRows := flag.String("rows", "", "rows to run (default all)")
	chosenSuites := flag.String("suites", "", "suites to run (default all)")
	page := flag.String("write", "", "page whose table gets the new lines (docs/compatibility.md)")
	limit := flag.Duration("limit", 30*time.Minute, "time that the tests of a suite may take; a busy machine needs more")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *chosenRows, *chosenSuites, *page, *limit)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, chosenRows, chosenSuites, page string, limit time.Duration) error {
	if os.Geteuid() != 0 {
		return errors.New("starting servers in a chroot needs root (run it with sudo)")
	}
	todo, err := plan(chosenRows, chosenSuites)
	if err != nil {
		return err
	}
	var results []*result
	var errs []error
	for _, r := range todo {
		done, err := runRow(ctx, r, limit)
		results = append(results, done...)
		if err != nil {
			errs = append(errs, fmt.Errorf("row %s: %w", r.name, err))
		}
	}
	made := lines(results, time.Now())
	fmt.Print(tableHead + strings.Join(made, ""))
	if page != "" {
		errs = append(errs, writeTable(page, made))
	}
	for _, r := range results {
		for _, f := range r.failures {
			errs = append(errs, fmt.Errorf("%s: %s", r.row, f))
		}
	}
	return errors.Join(errs...)
}

// cacheVariable is the environment variable that names the folder of the chroots.
const cacheVariable = "PARLEY_MATRIX_CACHE"

// rootOf returns the folder of a system, and makes a chroot that is missing.
func rootOf(ctx context.Context, system string) (string, error) {
	if system == "host" {
		return "/", nil
	}
	cache := os.Getenv(cacheVariable)
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

func runRow(ctx context.Context, r row, limit time.Duration) (results []*result, err error) {
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
		results = append(results, runSuite(ctx, &result{row: r.name, suite: suite, servers: serversOf(suite, versions)}, limit, env))
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

// runSuite runs the tests of a suite and counts them.
func runSuite(ctx context.Context, out *result, limit time.Duration, env []string) *result {
	began := time.Now()
	args := append([]string{"test", "-json", "-count=1", "-p", "1", "-timeout", limit.String()}, suitePackages[out.suite]...)
	cmd := exec.CommandContext(ctx, "go", args...)
	// The commands of parley take a variable that begins with PARLEY_ for a setting.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, cacheVariable+"=") })
	cmd.Env = append(cmd.Env, env...)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, os.Stderr
	runErr := cmd.Run()
	readErr := out.read(&printed)
	if out.failed == 0 && (runErr != nil || readErr != nil) {
		out.failed = 1
		out.failures = []string{fmt.Sprintf("%s: %v", out.suite, errors.Join(runErr, readErr))}
	}
	out.seconds = time.Since(began).Seconds()
	fmt.Fprintf(os.Stderr, "%s%s %s: %d passed, %d skipped, %d failed in %.0fs\n", out.output.String(), out.row, out.suite, out.passed, out.skipped, out.failed, out.seconds)
	return out
}
