package rest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

// allocated returns how much memory f allocates in total.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestABodyOfOneGigabyteEndsAtTheLimit(t *testing.T) {
	for _, announced := range []bool{true, false} {
		var sent atomic.Int64
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if announced {
				w.Header().Set("Content-Length", "1073741824")
			}
			chunk := make([]byte, 1<<20)
			for range 1024 {
				n, err := w.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		c := client(t, rest.Config{Host: s.URL})
		var err error
		took := allocated(func() { err = get(t, c) })
		if !errors.Is(err, rest.ErrTooLarge) || errors.Is(err, rest.ErrConnection) {
			t.Errorf("%v, want ErrTooLarge", err)
		}
		if sent.Load() > 64<<20 || took > 100<<20 {
			t.Errorf("the server sent %d MB and the process took %d MB", sent.Load()>>20, took>>20)
		}
	}
}

func TestAGzipBombEndsAtTheLimit(t *testing.T) {
	var part bytes.Buffer
	z := gzip.NewWriter(&part)
	_, _ = z.Write(make([]byte, 4<<20))
	_ = z.Close()
	bomb := bytes.Repeat(part.Bytes(), 256) // a gzip file of many members: 1 GB
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("gzip is not requested")
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	c := client(t, rest.Config{Host: s.URL})
	var err error
	took := allocated(func() { err = get(t, c) })
	if !errors.Is(err, rest.ErrTooLarge) || took > 100<<20 {
		t.Errorf("%v and %d MB, want ErrTooLarge", err, took>>20)
	}
	// A bomb as an error's body is also read only up to the limit of an error.
	bad := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(400)
		_, _ = w.Write(bomb)
	})
	err = get(t, client(t, rest.Config{Host: bad.URL}))
	if e, ok := errors.AsType[*rest.ResponseError](err); !ok || len(e.Body) != 64<<10 || !e.Truncated || len(err.Error()) > 1000 {
		t.Errorf("%.200v, want a ResponseError with 64 KiB", err)
	}
}

func TestTheLimitIsExactAndPerCall(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `"12345678"`) })
	c := client(t, rest.Config{Host: s.URL, MaxBytes: 9})
	if err := get(t, c, rest.MaxBytes(10)); err != nil {
		t.Errorf("10 of 10 bytes: %v", err)
	}
	if err := get(t, c); !errors.Is(err, rest.ErrTooLarge) {
		t.Errorf("10 of 9 bytes: %v", err)
	}
	if _, err := rest.Head(t.Context(), c, "x"); err != nil {
		t.Errorf("HEAD has no body that could be too large: %v", err)
	}
}

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
