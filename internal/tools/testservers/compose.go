//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// startCompose starts the services of compose.yaml for the missing servers. They use the
// usual ports, so a server on these ports that rejects the login makes it fail.
func startCompose(ctx context.Context, missing []testenv.Server) ([]located, error) {
	// Many machines have the client without an engine, so ask the engine.
	if err := quietly(ctx, 10*time.Second, "docker", "info", "--format", "{{.ServerVersion}}"); err != nil {
		return nil, fmt.Errorf("no Docker engine answers: %w", err)
	}
	if err := quietly(ctx, 10*time.Second, "docker", "compose", "version"); err != nil {
		return nil, fmt.Errorf("docker has no compose plugin: %w", err)
	}
	args := []string{"compose", "up", "--detach", "--wait"}
	for _, s := range missing {
		args = append(args, strings.ToLower(serviceName(s)))
	}
	upErr := quietly(ctx, startTimeout, "docker", args...)
	var started []located
	errs := []error{upErr}
	for _, s := range missing {
		e, err := s.Locate(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		started = append(started, located{e, "started by docker compose"})
	}
	return started, errors.Join(errs...)
}

func serviceName(s testenv.Server) string {
	if s.Name == testenv.PostgreSQL.Name {
		return "postgres"
	}
	return s.Name
}

// quietly runs a program. If it fails, the error has the last lines of its output.
func quietly(ctx context.Context, limit time.Duration, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second // a daemon that it started may keep its output open
	out, err := cmd.CombinedOutput()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return fmt.Errorf("%s: %w%s", name, err, lastLines(string(out), 3))
}

// lastLines returns ": " and the last lines of text in one, or nothing.
func lastLines(text string, n int) string {
	lines := strings.FieldsFunc(strings.TrimSpace(text), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines[max(0, len(lines)-n):], " | ")
}
