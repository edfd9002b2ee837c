package service

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/service/status"
)

func TestReadyzNamesABrokerThatIsNotReached(t *testing.T) {
	s, err := Open(&settings.Settings{AppID: "test", Broker: settings.Broker{URL: "amqp://guest:guest@127.0.0.1:1/"}}, &Config{LogOutput: &log{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.WithoutCancel(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Broker.Ready(ctx) }()
	h := &health{service: s}
	servicetest.Await(t, "the state", func() error {
		if state := h.ready(t.Context())["broker"]; state == status.OK {
			return errNotYet
		}
		return nil
	})
	stop()
	<-done
	w := httptest.NewRecorder()
	answer(w, h.ready(t.Context()))
	if text := w.Body.String(); !strings.Contains(text, `"broker":"not reached for 0s: connection refused"`) && !strings.Contains(text, "s: connection refused") {
		t.Errorf("/readyz says %s", text)
	}
	if w.Code != 200 {
		t.Errorf("status %d, want 200: a service without a broker still records events", w.Code)
	}
}

func TestReadyzNamesTheKindOfAFailureWithoutItsText(t *testing.T) {
	for text, want := range map[string]string{
		"dial tcp 10.0.0.1:5672: connect: connection refused":                 "connection refused",
		"Exception (403) Reason: \"username or password not allowed\"":        "login rejected",
		"tls: failed to verify certificate: x509: certificate signed by shop": "TLS certificate not trusted",
		"dial tcp: lookup mq.internal: no such host":                          "unknown host",
		"context deadline exceeded":                                           "timeout",
		"something secret":                                                    "see the log",
	} {
		if got := brokerProblem(errors.New(text)); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// A waitingDatabase lets a migration wait until proceed is closed.
type waitingDatabase struct {
	database
	begun   chan struct{}
	proceed chan struct{}
}

func (d *waitingDatabase) migrate(ctx context.Context) error {
	close(d.begun)
	select {
	case <-d.proceed:
	case <-ctx.Done():
	}
	return d.database.migrate(ctx)
}

// runs starts a service with health checks and returns their address. The end of the test stops the service.
func runs(t *testing.T, s *Service, log *syncBuffer) (address string) {
	t.Helper()
	s.HandleHTTP("GET /own", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("own")) }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, PartRelay) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	servicetest.Await(t, "the service logs its address", func() error {
		_, after, ok := strings.Cut(log.String(), "address=")
		address, _, _ = strings.Cut(after, "\n")
		if !ok || !strings.HasPrefix(address, "127.0.0.1:") {
			return errors.New(log.String())
		}
		return nil
	})
	return address
}

func TestHealthzAnswersWhileTheServiceWaitsForItsDatabaseToMigrate(t *testing.T) {
	with := settings.Settings{Broker: settings.Broker{URL: "memory:"}, HTTP: settings.HTTP{Address: "127.0.0.1:0"}}
	t.Run("unreachable", func(t *testing.T) {
		var log syncBuffer
		own := with
		own.Database = settings.Database{URL: "postgres://user@127.0.0.1:1/x?connect_timeout=1", Migrate: true}
		address := runs(t, open(t, &own, &Config{LogOutput: &log}), &log)
		wantAnswer(t, address, "/healthz", http.StatusOK, `"process":"ok"`)
		wantAnswer(t, address, "/readyz", http.StatusServiceUnavailable, `"database":"unreachable"`)
		wantAnswer(t, address, "/own", http.StatusServiceUnavailable, "starting", "unreachable")
	})
	t.Run("migrating", func(t *testing.T) {
		var log syncBuffer
		own := with
		own.Database = settings.Database{URL: "memory:", Migrate: true}
		s := open(t, &own, &Config{LogOutput: &log})
		db := &waitingDatabase{s.db, make(chan struct{}), make(chan struct{})}
		s.db = db
		address := runs(t, s, &log)
		<-db.begun
		wantAnswer(t, address, "/healthz", http.StatusOK, `"process":"ok"`)
		wantAnswer(t, address, "/readyz", http.StatusServiceUnavailable, `"database":"migrating"`)
		wantAnswer(t, address, "/own", http.StatusServiceUnavailable, "starting", "migrating")
		close(db.proceed)
		servicetest.Await(t, "the service is ready", func() error { return readiness(address, http.StatusOK, `"database":"ok"`, `"relay":"ok"`) })
		wantAnswer(t, address, "/own", http.StatusOK, "own")
	})
}

func wantAnswer(t *testing.T, address, path string, code int, words ...string) {
	t.Helper()
	servicetest.Await(t, path, func() error { return fetch("http://"+address+path, code, words...) })
}
