package rest_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

func TestErrorBodiesAreDecodedBoundedAndSafeForLogs(t *testing.T) {
	body := `{"errorCode":"x","note":"a\u001b[31m"}` + "\r\nforged: log line\x1b[31m" + strings.Repeat("é", 400)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/problem":
			w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
			w.WriteHeader(422)
			_, _ = fmt.Fprint(w, `{"type":"https://e/low","title":"Low","status":422,"detail":"30 left","instance":"/a/1","balance":30}`)
		case "/json":
			w.Header().Set("Retry-After", "7")
			answer(w, 409, `{"errorCode":"x_y"}`)
		default:
			answer(w, 400, body)
		}
	})
	c := client(t, rest.Config{Host: s.URL})
	_, err := rest.Get[any](t.Context(), c, "problem")
	e, _ := errors.AsType[*rest.ResponseError](err)
	if e == nil || e.Problem == nil || e.Problem.Type != "https://e/low" || e.Problem.Status != 422 || string(e.Problem.Extensions["balance"]) != "30" || !strings.HasSuffix(err.Error(), "422 Unprocessable Entity: Low: 30 left") {
		t.Errorf("%v: %+v", err, e)
	}
	_, err = rest.Post[any](t.Context(), c, "json", 1)
	e, _ = errors.AsType[*rest.ResponseError](err)
	var doc map[string]any
	if e == nil || e.Decode(&doc) != nil || doc["error_code"] != "x_y" || e.RetryAfter != 7*time.Second || e.Problem != nil {
		t.Errorf("%+v, decoded %v", e, doc)
	}
	err = get(t, c)
	if text := err.Error(); strings.ContainsAny(text, "\r\n\x1b") || len(text) > 700 || strings.ContainsRune(text, '\uFFFD') || !strings.HasSuffix(text, "…") {
		t.Errorf("unsafe for logs: %q", text)
	}
}

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
