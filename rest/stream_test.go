package rest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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

type item struct{ ItemID int }

func collect[T any](seq func(func(T, error) bool)) (all []T, err error) {
	for v, e := range seq {
		if e != nil {
			return all, e
		}
		all = append(all, v)
	}
	return all, nil
}

// pagesServer has three pages of two items in each style.
func pagesServer(t *testing.T, rec *recorder) string {
	var base string
	s := serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
		n := 1
		_, _ = fmt.Sscan(r.FormValue("page"), &n)
		items := fmt.Sprintf(`[{"itemId":%d},{"itemId":%d}]`, 2*n-1, 2*n)
		next := fmt.Sprintf("%s%s?page=%d&size=%s", base, r.URL.Path, n+1, r.FormValue("size"))
		switch r.URL.Path {
		case "/api/django":
			link := "null"
			if n < 3 {
				link = fmt.Sprintf("%q", next)
			}
			answer(w, 200, fmt.Sprintf(`{"count":6,"next":%s,"previous":null,"results":%s}`, link, items))
		case "/api/link":
			if n < 3 {
				w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next))
			}
			answer(w, 200, items)
		case "/api/numbered":
			if n > 3 {
				items = "[]"
			}
			answer(w, 200, fmt.Sprintf(`{"data":{"items":%s}}`, items))
		case "/api/loop":
			answer(w, 200, fmt.Sprintf(`{"next":%q,"results":[]}`, base+r.RequestURI))
		case "/api/evil":
			answer(w, 200, `{"next":"http://evil.example/x","results":[]}`)
		case "/api/broken":
			answer(w, 200, `{"next":null}`)
		}
	}))
	base = s.URL
	return s.URL
}

func TestItemsOfAllPagesAreYielded(t *testing.T) {
	var rec recorder
	c := client(t, rest.Config{Host: pagesServer(t, &rec) + "/api/"})
	for path, p := range map[string]rest.Pagination{
		"django": rest.DjangoPages(), "link": rest.LinkPages(), "numbered": rest.NumberedPages("page", "data.items"),
	} {
		got, err := collect(rest.Items[item](t.Context(), c, path, p, rest.Params("size=2"), rest.Header("X-Own", "1")))
		if err != nil || fmt.Sprint(got) != "[{1} {2} {3} {4} {5} {6}]" {
			t.Errorf("%s: %v, %v", path, got, err)
		}
		for i, r := range rec.take() {
			if strings.Count(r.target, "size=2") != 1 || r.header.Get("X-Own") != "1" {
				t.Errorf("%s: request %d for %s with %v", path, i, r.target, r.header)
			}
		}
	}
	type page struct {
		Next    string
		Results []item
	}
	got, err := collect(rest.Pages(t.Context(), c, "django", func(p page) string { return p.Next }))
	if err != nil || len(got) != 3 || got[2].Results[1].ItemID != 6 {
		t.Errorf("pages: %v, %v", got, err)
	}
}

func TestPagesAreFetchedAsTheyAreNeeded(t *testing.T) {
	var rec recorder
	c := client(t, rest.Config{Host: pagesServer(t, &rec) + "/api"})
	for v, err := range rest.Items[item](t.Context(), c, "django", rest.DjangoPages()) {
		if err != nil || v.ItemID == 2 {
			break
		}
	}
	if n := len(rec.take()); n != 1 {
		t.Errorf("%d pages fetched for two items", n)
	}
}

func TestAListWithABadNextPageEndsInAnError(t *testing.T) {
	var rec recorder
	c := client(t, rest.Config{Host: pagesServer(t, &rec) + "/api"})
	for _, path := range []string{"loop", "evil", "broken", "loop?page=%zz"} {
		_, err := collect(rest.Items[item](t.Context(), c, path, rest.DjangoPages()))
		if err == nil || len(rec.take()) > 1 {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := collect(rest.Items[item](t.Context(), c, "evil", rest.DjangoPages()))
	if !errors.Is(err, rest.ErrDecode) || !strings.Contains(err.Error(), "another origin") {
		t.Errorf("evil: %v", err)
	}
}
