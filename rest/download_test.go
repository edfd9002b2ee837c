package rest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestADownloadStreamsBodiesLargerThanMemory(t *testing.T) {
	const size = 64 << 20
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "*/*" {
			t.Errorf("Accept %q", r.Header.Get("Accept"))
		}
		w.Header().Set("Content-Disposition", `attachment; filename="../../etc/report.csv"`)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		chunk := make([]byte, 1<<20)
		for range size >> 20 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	c := client(t, rest.Config{Host: s.URL})
	var n int64
	took := allocated(func() {
		d, err := rest.Download(t.Context(), c, "x?sig=hide")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if d.Name() != "report.csv" || d.Size != size || d.Status != 200 || d.URL() != s.URL+"/x?sig=REDACTED" {
			t.Errorf("%q, %d bytes, status %d, %s", d.Name(), d.Size, d.Status, d.URL())
		}
		if n, err = io.Copy(io.Discard, d); err != nil {
			t.Error(err)
		}
	})
	if n != size || took > 16<<20 {
		t.Errorf("%d bytes with %d MB of memory", n, took>>20)
	}
}

func TestADownloadThatBreaksOffIsNeverAShortFile(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/reset":
			reset(t, w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
		case "/missing":
			answer(w, 404, "{}")
		case "/chunked":
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "1234567890")
		default:
			_, _ = io.WriteString(w, "1234567890")
		}
	})
	c := client(t, rest.Config{Host: s.URL})
	for path, want := range map[string]error{"reset": rest.ErrConnection, "long": rest.ErrTooLarge, "chunked": rest.ErrTooLarge} {
		limit := int64(6)
		if path == "reset" {
			limit = 10
		}
		d, err := rest.Download(t.Context(), c, path, rest.MaxBytes(limit))
		if errors.Is(err, want) {
			continue // reported by Content-Length
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(d)
		_ = d.Close()
		if !errors.Is(err, want) || len(text) > 6 {
			t.Errorf("%s: %q, %v, want %v", path, text, err, want)
		}
		if _, again := d.Read(make([]byte, 1)); again == nil {
			t.Errorf("%s: Read after an error returns no error", path)
		}
	}
	if _, err := rest.Download(t.Context(), c, "missing"); !errors.Is(err, rest.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	exact, err := rest.Download(t.Context(), c, "chunked", rest.MaxBytes(10))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(exact); err != nil || len(text) != 10 {
		t.Errorf("as long as the limit: %q, %v", text, err)
	}
	_ = exact.Close()
	d, err := rest.Download(t.Context(), c, "long")
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	if _, err := d.Read(make([]byte, 1)); err == nil {
		t.Error("a closed download can be read")
	}
}
