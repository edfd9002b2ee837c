package rest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

func TestASlowBodyEndsByTheDeadline(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(w)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil || flush.Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	c := client(t, rest.Config{Host: s.URL, Timeout: 400 * time.Millisecond})
	start := time.Now()
	if err := get(t, c); !errors.Is(err, rest.ErrTimeout) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v, want ErrTimeout", err, time.Since(start))
	}
	d, err := rest.Download(t.Context(), c, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := io.ReadAll(d); !errors.Is(err, rest.ErrTimeout) {
		t.Errorf("download: %v, want ErrTimeout", err)
	}
}

func TestAHugeHeaderIsAnError(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Huge", strings.Repeat("x", 300<<10))
		answer(w, 200, "1")
	})
	if err := get(t, client(t, rest.Config{Host: s.URL})); !errors.Is(err, rest.ErrRequest) {
		t.Errorf("%v, want ErrRequest", err)
	}
}

func TestTenThousandRequestsReuseConnections(t *testing.T) {
	var conns atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bad":
			answer(w, 400, `{"detail":"no"}`)
		case "/undecodable":
			answer(w, 200, `<html>`)
		default:
			answer(w, 200, `{"a":1}`)
		}
	})
	c := client(t, rest.Config{Host: s.URL, Transport: countDials(t, &conns)})
	const workers = 20
	done := make(chan struct{})
	for range workers {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 10_000 / workers {
				_, err := rest.Get[map[string]int](t.Context(), c, []string{"x", "bad", "undecodable"}[i%3])
				if (i%3 == 0) != (err == nil) {
					t.Errorf("request %d: %v", i, err)
				}
			}
		}()
	}
	for range workers {
		<-done
	}
	if n := conns.Load(); n > 2*workers {
		t.Errorf("%d connections for 10,000 requests of %d callers", n, workers)
	}
}

// countDials returns the client's own transport with a counter of its connections.
func countDials(t *testing.T, n *atomic.Int64) *http.Transport {
	t.Helper()
	transport, err := rest.NewTransport(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		n.Add(1)
		return dial(ctx, network, address)
	}
	return transport
}
