package service

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/console"
	"github.com/parley-go/parley/service/settings"
)

func consoleService(t *testing.T, c settings.Console) *Service {
	t.Helper()
	s, err := Open(&settings.Settings{
		AppID: "my shop", Queue: "shop", Broker: settings.Broker{URL: "memory:"}, Database: settings.Database{URL: "memory:"},
		Exchanges: []settings.Exchange{{Name: "order"}}, Binds: []settings.Bind{{Exchange: "order"}}, Console: c,
	}, &Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestTheConsoleOfAServiceHasAllThatTheServiceHas(t *testing.T) {
	s := consoleService(t, settings.Console{})
	parley.OnPattern(s.Router, "other", "#", func(context.Context, parley.Event[string]) error { return nil })
	src := s.ConsoleSource(ConsoleName(s.Settings.AppID))
	if src.Name != "my-shop" || src.Failures == nil || src.ParkedRecords == nil || src.Schedule == nil || src.Topology == nil || src.Actions == nil || src.Control == nil || len(src.ParkedQueues) != 0 {
		t.Errorf("the source is %+v", src)
	}
	if _, err := console.New([]console.Source{src}, console.Options{}); err != nil {
		t.Error(err)
	}
	if err := s.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	top, err := src.Topology(t.Context())
	if err != nil || len(top.Routes) != 1 || !strings.Contains(top.Routes[0].Problem, "not bound") || len(top.Queues) != 1 || len(top.Bindings) != 1 {
		t.Errorf("the topology is %+v, %v", top, err)
	}
	st, err := src.Status(t.Context())
	if err != nil || st.Relay == nil {
		t.Errorf("the status is %+v, %v", st, err)
	}
	sample, err := src.Sample(t.Context())
	if err != nil || sample.Published != -1 {
		t.Errorf("a process without a relay counts %+v, %v", sample, err)
	}
	s.traffic.relayHooks().Batch(parley.BatchReport{Accepted: 3})
	if n := s.traffic.published.Load(); n != 3 {
		t.Errorf("%d published messages are counted, want 3", n)
	}
	for _, setting := range src.Settings() {
		if setting.Key == "" || setting.Source == "" {
			t.Errorf("the setting %+v has no key or source", setting)
		}
	}
}

func TestTheGraphsCountWhatWasHandled(t *testing.T) {
	for outcome, want := range map[parley.Outcome][2]int64{
		parley.OutcomeHandled: {1, 0}, parley.OutcomeIgnored: {1, 0}, parley.OutcomeDuplicate: {1, 0}, parley.OutcomeExpired: {1, 0},
		parley.OutcomeRetried: {0, 1}, parley.OutcomeParked: {0, 1},
		parley.OutcomeBehind: {}, parley.OutcomePaused: {}, parley.OutcomeReturned: {}, parley.OutcomeUnhandled: {},
	} {
		for _, err := range []error{nil, io.EOF} {
			var counted traffic
			counted.consumerHooks().Done(parley.ConsumerReport{Outcome: outcome, Err: err})
			if got := [2]int64{counted.handled.Load(), counted.failed.Load()}; got != want {
				t.Errorf("%s (%v): %d handled and %d failed, want %d and %d", outcome, err, got[0], got[1], want[0], want[1])
			}
		}
	}
}

func TestSecretsOfTheSettingsAreHiddenInTheConsole(t *testing.T) {
	s := consoleService(t, settings.Console{})
	s.Settings.Database.URL = "postgres://parley:hunter2@db/parley"
	s.Settings.Consumer.Secrets = []settings.Secret{"hunter2hunter2hunter2"}
	for _, setting := range s.consoleSettings() {
		if strings.Contains(setting.Value, "hunter2") {
			t.Errorf("%s shows the secret: %s", setting.Key, setting.Value)
		}
	}
}

func TestTheAccountsOfThePasswordFileAreThoseOfTheConsole(t *testing.T) {
	line, err := console.PasswordLine("ada", "all", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	s := consoleService(t, settings.Console{Address: "0.0.0.0:0", PasswordFile: file, Prefix: "/ops"})
	server, err := s.ConsoleServer()
	if err != nil {
		t.Fatal(err)
	}
	if err := console.CheckAddress(server.Address, true); err != nil {
		t.Error(err)
	}
	for password, want := range map[string]int{"correct horse battery": http.StatusOK, "wrong": http.StatusUnauthorized} {
		if got := statusOf(t, server.Console, "ada", password); got != want {
			t.Errorf("password %q: status %d, want %d", password, got, want)
		}
	}
	for text, want := range map[string]string{"": "no account", "ada": "line 1"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ConsoleServer(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "console.password_file") {
			t.Errorf("a file with %q: %v", text, err)
		}
	}
	s.Settings.Console.PasswordFile = file + ".missing"
	if _, err := s.ConsoleServer(); err == nil {
		t.Error("a missing file is accepted")
	}
}

func statusOf(t *testing.T, h http.Handler, name, password string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/ops/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(name, password)
	out := &statusRecorder{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(out, r)
	return out.status
}

// statusRecorder keeps the status of an answer.
type statusRecorder struct {
	header http.Header
	status int
}

func (r *statusRecorder) Header() http.Header         { return r.header }
func (r *statusRecorder) WriteHeader(status int)      { r.status = status }
func (r *statusRecorder) Write(p []byte) (int, error) { return len(p), nil }

func TestNamesInTheConsoleAreValidInURLs(t *testing.T) {
	for id, want := range map[string]string{"": "service", "shop": "shop", "my shop/eu": "my-shop-eu", "ä": "service", "-x-": "x"} {
		if got := ConsoleName(id); got != want {
			t.Errorf("%q is named %q, want %q", id, got, want)
		}
	}
}
