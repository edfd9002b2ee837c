//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// findTimeout bounds one look for one server.
const findTimeout = 15 * time.Second

// located is a server that answers, and its origin.
type located struct {
	testenv.Endpoint
	Origin string
}

// provider is a way to start missing servers. It starts the servers that it can and
// returns those that answer. The error explains why the others are missing.
type provider struct {
	name  string
	start func(ctx context.Context, missing []testenv.Server) ([]located, error)
}

// provide finds all servers and starts the missing ones. The error, an *unavailableError beside the others, names each
// server that could be neither found nor started, each way that was tried, and the
// variable that names the server.
func provide(ctx context.Context) ([]located, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return provideFrom(ctx, testenv.Servers(), find, []provider{
		{"Docker Compose", startCompose},
		{"own servers", startPrivate},
	})
}

func provideFrom(
	ctx context.Context,
	servers []testenv.Server,
	find func(context.Context, testenv.Server) (located, error),
	providers []provider,
) ([]located, error) {
	var found []located
	var missing []testenv.Server
	var why []error
	for _, s := range servers {
		l, err := find(ctx, s)
		if err == nil {
			found = append(found, l)
			continue
		}
		if _, ok := errors.AsType[*testenv.MissingError](err); !ok {
			return nil, err // a variable names a server that does not answer: do not start another one
		}
		missing, why = append(missing, s), append(why, err)
	}
	for _, p := range providers {
		if len(missing) == 0 {
			break
		}
		fmt.Fprintf(os.Stderr, "testservers: %s missing, trying %s\n", names(missing), p.name)
		started, err := p.start(ctx, missing)
		if err != nil {
			why = append(why, fmt.Errorf("%s: %w", p.name, err))
		}
		found = append(found, started...)
		missing = slices.DeleteFunc(missing, func(s testenv.Server) bool {
			return slices.ContainsFunc(started, func(l located) bool { return l.Server.Name == s.Name })
		})
	}
	if len(missing) > 0 {
		return found, missingError(missing, why)
	}
	slices.SortFunc(found, func(a, b located) int { return order(servers, a) - order(servers, b) })
	return found, nil
}

// find looks for s without starting anything.
func find(ctx context.Context, s testenv.Server) (located, error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	e, err := s.Locate(ctx)
	if err == nil {
		origin := "already running"
		if os.Getenv(s.Variable) != "" {
			origin = "given by " + s.Variable
		}
		return located{e, origin}, nil
	}
	if _, missing := errors.AsType[*testenv.MissingError](err); !missing {
		return located{}, err
	}
	if l, ok := findPrivate(ctx, s); ok {
		return l, nil
	}
	return located{}, err
}

func missingError(missing []testenv.Server, why []error) error {
	text := fmt.Sprintf("%s: not found and could not be started:", names(missing))
	for _, err := range why {
		text += "\n  - " + err.Error()
	}
	text += "\nSet an address in the environment:"
	for _, s := range missing {
		text += fmt.Sprintf("\n  %s=%s", s.Variable, s.Default)
	}
	return &unavailableError{text + "\nor start a Docker engine, or as root on Debian set " + testenv.InstallVariable + "=1 to install the packages."}
}

// An unavailableError names servers that could be neither found nor started.
type unavailableError struct{ text string }

func (e *unavailableError) Error() string { return e.text }

func names(servers []testenv.Server) string {
	var text string
	for i, s := range servers {
		if i > 0 {
			text += ", "
		}
		text += s.Name
	}
	return text
}

func order(servers []testenv.Server, l located) int {
	return slices.IndexFunc(servers, func(s testenv.Server) bool { return s.Name == l.Server.Name })
}
