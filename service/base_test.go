package service

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/service/settings"
)

// inMemory opens a service on a broker and a database in the process.
func inMemory(t *testing.T, cfg *Config) *Service {
	t.Helper()
	return open(t, &settings.Settings{AppID: "test", Queue: "q", Broker: settings.Broker{URL: "memory:"}, Database: settings.Database{URL: "memory:"}}, cfg)
}

// mustPanic returns the text that fn panics with.
func mustPanic(t *testing.T, fn func()) (text string) {
	t.Helper()
	defer func() {
		t.Helper()
		if text, _ = recover().(string); text == "" {
			t.Error("the function did not panic")
		}
	}()
	fn()
	return ""
}

func TestTheErrorOfAnAddedRunnerEndsTheServiceAndNamesIt(t *testing.T) {
	s := inMemory(t, nil)
	broken := errors.New("broken")
	s.Add("cron", parley.RunnerFunc(func(context.Context) error { return broken }))
	stopped := false
	s.Add("other", parley.RunnerFunc(func(ctx context.Context) error {
		<-ctx.Done()
		stopped = true
		return nil
	}))
	err := s.Run(t.Context(), PartRelay)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), `runner "cron"`) || !stopped {
		t.Errorf("error is %v, the other runner is stopped: %v", err, stopped)
	}
}

func TestTheEndOfAnAddedRunnerEndsTheService(t *testing.T) {
	s := inMemory(t, nil)
	s.Add("once", parley.RunnerFunc(func(context.Context) error { return nil }))
	if err := s.Run(t.Context(), PartRelay); err != nil {
		t.Error(err)
	}
}

func TestAServiceOfAddedRunnersHasSomethingToRun(t *testing.T) {
	s := open(t, &settings.Settings{}, nil)
	if _, err := s.Parts(); err == nil {
		t.Error("a service without parts and runners has no error")
	}
	s.Add("once", parley.RunnerFunc(func(context.Context) error { return nil }))
	parts, err := s.Parts()
	if err = errors.Join(err, s.Run(t.Context(), parts)); err != nil || parts != 0 {
		t.Errorf("parts are %d: %v", parts, err)
	}
}

func TestARunnerThatIsAddedTwicePanics(t *testing.T) {
	s := inMemory(t, nil)
	idle := parley.RunnerFunc(func(context.Context) error { return nil })
	s.Add("cron", idle)
	if text := mustPanic(t, func() { s.Add("cron", idle) }); !strings.Contains(text, `"cron" is added twice`) {
		t.Error(text)
	}
	if text := mustPanic(t, func() { s.Add("nothing", nil) }); !strings.Contains(text, `"nothing" is nil`) {
		t.Error(text)
	}
}

func TestHandlersAreServedBesideTheHealthChecks(t *testing.T) {
	s := inMemory(t, nil)
	s.HandleHTTP("GET /orders/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("order " + r.PathValue("id"))) }))
	for path, want := range map[string]string{"/orders/7": "order 7", "/healthz": `"process":"ok"`} {
		w := httptest.NewRecorder()
		(&health{service: s}).mux().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s answers %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
}

func TestAConflictOfHTTPPatternsPanicsAndNamesBoth(t *testing.T) {
	s := open(t, &settings.Settings{HTTP: settings.HTTP{Address: "127.0.0.1:0", Metrics: true}}, nil)
	h := http.NotFoundHandler()
	s.HandleHTTP("GET /orders/{id}", h)
	for pattern, want := range map[string][]string{
		"GET /healthz":        {`"GET /healthz" (`, "base_test.go:", `conflicts with "GET /healthz" (health checks)`},
		"GET /metrics":        {`conflicts with "GET /metrics" (http.metrics)`},
		"GET /orders/{other}": {`"GET /orders/{other}" (`, `conflicts with "GET /orders/{id}" (`, "base_test.go:"},
		"no pattern at all{":  {`"no pattern at all{" (`},
	} {
		text := mustPanic(t, func() { s.HandleHTTP(pattern, h) })
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("the panic lacks %q: %s", w, text)
			}
		}
	}
}

func TestUnservedHTTPHandlersAreWarnedOf(t *testing.T) {
	var log syncBuffer
	s := inMemory(t, &Config{LogOutput: &log})
	s.HandleHTTP("/orders", http.NotFoundHandler())
	s.Add("once", parley.RunnerFunc(func(context.Context) error { return nil }))
	if err := s.Run(t.Context(), PartRelay); err != nil || !strings.Contains(log.String(), "set http.address") {
		t.Errorf("%v\n%s", err, &log)
	}
}

func TestACallerOfTheServiceIsRunByIt(t *testing.T) {
	type amount struct{ Pieces int }
	double := parley.NewCall[amount, amount]("stock", "double")
	s := open(t, &settings.Settings{
		AppID: "test", Queue: "stock", Broker: settings.Broker{URL: "memory:"}, Database: settings.Database{URL: "memory:"},
		Exchanges: []settings.Exchange{{Name: "stock"}}, Binds: []settings.Bind{{Exchange: "stock"}},
	}, nil)
	parley.OnCall(s.Router, s.Inbox, s.Outbox, double, func(_ context.Context, _ *Tx, c parley.Call[amount]) (amount, error) {
		return amount{2 * c.Data.Pieces}, nil
	})
	caller, err := s.Caller("test.replies")
	if err != nil {
		t.Fatal(err)
	}
	mustPanic(t, func() { _, _ = s.Caller("test.replies") })
	if err := s.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Add("question", parley.RunnerFunc(func(ctx context.Context) error {
		reply, err := parley.Await(ctx, caller, double, amount{21})
		if err == nil && reply.Pieces != 42 {
			err = errors.New("the reply is wrong")
		}
		return err
	}))
	if err := s.Run(t.Context(), PartRelay|PartConsumer); err != nil {
		t.Error(err)
	}
}

func TestACallerNeedsABroker(t *testing.T) {
	s := open(t, &settings.Settings{}, nil)
	if _, err := s.Caller("replies"); err == nil || !strings.Contains(err.Error(), "broker.url: is missing") {
		t.Errorf("error is %v", err)
	}
	s = open(t, &settings.Settings{}, &Config{Broker: memory.NewBroker(nil)})
	if _, err := s.Caller(""); err == nil {
		t.Error("a caller without a name has no error")
	}
}

func TestTheServiceReturnsThePoolsOfItsDatabase(t *testing.T) {
	for kind, url := range databases(t) {
		s := openURL(t, url)
		if pgx, db := s.Pgx() != nil, s.DB() != nil; pgx != (kind == "PostgreSQL") || db == pgx {
			t.Errorf("%s: has a pgx pool: %v, a database/sql pool: %v", kind, pgx, db)
		}
	}
	if s := open(t, &settings.Settings{}, nil); s.Pgx() != nil || s.DB() != nil {
		t.Error("a service without a database has a pool")
	}
}
