package service

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"runtime"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
)

// A named is a runner that the program has added.
type named struct {
	name   string
	runner parley.Runner
}

// Add registers a runner that Run runs beside relay and consumer, whichever parts are run. When r returns, with or without an
// error, the service stops. An error that Run returns contains the name. Add panics if the name is taken. Call Add before Run.
func (s *Service) Add(name string, r parley.Runner) {
	if r == nil {
		panic(fmt.Sprintf("service: runner %q is nil", name))
	}
	for i := range s.added {
		if s.added[i].name == name {
			panic(fmt.Sprintf("service: runner %q is added twice", name))
		}
	}
	s.added = append(s.added, named{name, r})
}

// run returns a runner that runs n and adds its name to its error.
func (s *Service) run(n named) parley.Runner {
	return parley.RunnerFunc(func(ctx context.Context) error {
		if err := n.runner.Run(ctx); err != nil {
			return fmt.Errorf("service: runner %q: %w", n.name, err)
		}
		if ctx.Err() == nil {
			s.Logger.Info("service: runner ended, stopping the service", "runner", n.name)
		}
		return nil
	})
}

// A route is an HTTP handler served at the address of the health checks.
type route struct {
	pattern string
	handler http.Handler
	place   string // the source line that registered it, or the part that it belongs to
}

// HandleHTTP registers a handler to serve at http.address while the service runs, beside /healthz, /readyz and, with http.metrics,
// /metrics. Patterns are those of [http.ServeMux], such as "GET /orders/{id}". HandleHTTP panics if two patterns conflict; the
// text names both. Call HandleHTTP before Run.
func (s *Service) HandleHTTP(pattern string, handler http.Handler) {
	place := "an unknown place"
	if _, file, line, ok := runtime.Caller(1); ok {
		place = fmt.Sprintf("%s:%d", file, line)
	}
	s.handle(route{pattern, handler, place})
}

func (s *Service) handle(r route) {
	if problem := conflict(r); problem != nil {
		panic(fmt.Sprintf("service: HTTP pattern %q (%s): %v", r.pattern, r.place, problem))
	}
	for _, other := range append((&health{service: s}).routes(), s.routes...) {
		if conflict(other, r) != nil {
			panic(fmt.Sprintf("service: HTTP pattern %q (%s) conflicts with %q (%s)", r.pattern, r.place, other.pattern, other.place))
		}
	}
	s.routes = append(s.routes, r)
}

// conflict returns what [http.ServeMux] panics with when the routes conflict, or nil.
func conflict(routes ...route) (problem any) {
	defer func() { problem = recover() }()
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.pattern, r.handler)
	}
	return nil
}

// Caller returns a caller for [parley.Await], which waits for replies. Run runs the caller. Two processes must not use the same
// name at the same time; see [parley.CallerConfig]. Caller panics if the name is taken.
func (s *Service) Caller(name string) (*parley.Caller, error) {
	if s.Broker == nil {
		return nil, fmt.Errorf("service: %w", s.need("broker.url"))
	}
	c, err := parley.NewCaller(s.Broker, &parley.CallerConfig{Name: name, KeyRules: s.Settings.Keys.Rules(), Logger: s.Logger})
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	s.Add("caller "+name, c)
	return c, nil
}

// Pgx returns the PostgreSQL connection pool of handlers and publishers. It returns nil without a PostgreSQL database.
func (s *Service) Pgx() *pgxpool.Pool {
	if s.db == nil {
		return nil
	}
	pool, _ := s.db.pools()
	return pool
}

// DB returns the MySQL, MariaDB or SQLite connection pool of handlers and publishers. It returns nil without such a database.
func (s *Service) DB() *sql.DB {
	if s.db == nil {
		return nil
	}
	_, db := s.db.pools()
	return db
}

// need is Settings.Need without the settings that Config replaces.
func (s *Service) need(keys ...string) error {
	return s.Settings.Need(slices.DeleteFunc(keys, func(key string) bool {
		return key == "broker.url" && s.Broker != nil || key == "database.url" && s.db != nil
	})...)
}
