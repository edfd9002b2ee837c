package rest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestPagesAreReadInTheirCharset(t *testing.T) {
	cl := servedAs(t, 200, "application/json; charset=latin-1", "{\"results\":[{\"name\":\"\xe9\"}],\"next\":null}")
	for item, err := range rest.Items[map[string]string](t.Context(), cl, "x", rest.DjangoPages()) {
		if err != nil || item["name"] != "é" {
			t.Errorf("item %q (%v)", item, err)
		}
	}
}

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
