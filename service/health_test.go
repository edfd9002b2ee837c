package service

import (
	"context"
	"errors"
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
