package console

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// The proxy of docs/console.md: it authenticates the user, logs in with its own account, names the user, and keeps the Host header.
func TestTheRecipeForAReverseProxy(t *testing.T) {
	accounts := accounts(t, "sso:proxy,reader,payloads,operator")
	w := newWorld(t, func(_ *Source, o *Options) { o.Prefix, o.Authorize = "/parley", accounts.Authorize })
	id := w.parked(`{"name": "Ada"}`)
	target, err := url.Parse(w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
		r.Out.SetBasicAuth("sso", "correct horse")
		r.Out.Header.Set("Parley-User", "ada@example.com")
	}})
	defer proxy.Close()
	w.server.URL, w.client = proxy.URL, proxy.Client()

	r := w.request(http.MethodGet, "/parley/s/orders/parked/"+id, nil)
	r.Header.Set("Parley-User", "root") // of the browser: the proxy replaces it
	w.do(r).must(t, http.StatusOK).has(t, "ada@example.com", `action="/parley/s/orders/parked/preview"`)
	p := w.post("/parley/s/orders/parked/preview", preview("replay", id)).must(t, http.StatusOK)
	w.post("/parley/s/orders/parked/confirm", p.form()).must(t, http.StatusOK)
	if log := w.log.String(); !strings.Contains(log, "user=ada@example.com") {
		t.Errorf("the log is %s, want the user", log)
	}
	old := w.request(http.MethodPost, "/parley/s/orders/parked/preview", preview("replay", id))
	old.Header.Del("Sec-Fetch-Site") // a browser without it sends its origin
	old.Header.Set("Origin", proxy.URL)
	w.do(old).must(t, http.StatusOK)
	old = w.request(http.MethodPost, "/parley/s/orders/parked/preview", preview("replay", id))
	old.Header.Del("Sec-Fetch-Site")
	old.Header.Set("Origin", "https://evil.example")
	w.do(old).must(t, http.StatusForbidden)
}
