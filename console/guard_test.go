package console

import (
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func unescape(s string) string { return html.UnescapeString(s) }

// pages are the paths of all pages, for a world with the parked delivery c1.
var pages = []string{
	"/", "/m", "/m/user%2F7", "/actions", "/s/orders/outbox", "/s/orders/parked", "/s/orders/parked?state=waiting&place=c", "/s/orders/parked?place=o", "/s/orders/parked/c1",
	"/s/orders/parked/c1/edit", "/s/orders/scheduled", "/s/orders/queues", "/s/orders/tail", "/s/orders/settings", "/s/orders/doctor",
}

// changes are the requests that change something, or prepare it.
var changes = []string{
	"/s/orders/parked/look", "/s/orders/parked/preview", "/s/orders/parked/confirm", "/s/orders/parked/c1/edit/preview", "/s/orders/parked/c1/edit/confirm",
	"/s/orders/scheduled/preview", "/s/orders/scheduled/confirm", "/s/orders/control/preview", "/s/orders/control/confirm",
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	w := newWorld(t, nil)
	w.parked(`{"name": "Ada"}`)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	}
	check := func(path string, p page) {
		for name, value := range want {
			if got := p.header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
		if !strings.HasPrefix(path, "/static") && p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", path)
		}
	}
	for _, path := range append([]string{"/nothing", "/static/console.css", "/static/nothing", "/s/nobodys/parked", "/s/orders/parked/c1/body"}, pages...) {
		check(path, w.get(path))
	}
	for _, path := range changes {
		check(path, w.post(path, nil))
	}
	w.user = User{}
	check("/ without a role", w.get("/").must(t, http.StatusForbidden))
}

func TestEveryPageIsThereAndHasNoInlineScriptOrStyle(t *testing.T) {
	w := newWorld(t, nil)
	w.parked(`{"name": "Ada"}`)
	w.schedule("7")
	for _, path := range pages {
		body := w.get(path).must(t, http.StatusOK).body
		if problems := inspect(body); len(problems) > 0 {
			t.Errorf("%s: %s", path, strings.Join(problems, "; "))
		}
	}
}

func TestAReadOnlyConsoleRefusesEveryChange(t *testing.T) {
	w := newWorld(t, func(_ *Source, o *Options) { o.Write = false })
	id := w.parked(`{}`)
	for _, path := range changes {
		w.post(path, url.Values{"action": {"drop"}, "id": {id}, "place": {"c"}}).must(t, http.StatusForbidden).has(t, "read-only")
	}
	if body := w.get("/s/orders/parked").must(t, http.StatusOK).body; strings.Contains(body, "Drop") {
		t.Error("a read-only console offers to drop messages")
	}
}

func TestPagesAndActionsNeedTheirRoles(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{"name": "a secret"}`)
	preview := url.Values{"action": {"replay"}, "id": {id}, "place": {"c"}}
	w.user = User{"eve", RoleReader}
	if body := w.get("/s/orders/parked/"+id).must(t, http.StatusOK).body; strings.Contains(body, "a secret") || strings.Contains(body, "Replay…") {
		t.Error("a reader sees the body, or is offered a replay")
	}
	w.get("/s/orders/parked/"+id+"/body").must(t, http.StatusForbidden).has(t, "payloads")
	w.get("/s/orders/parked/"+id+"/edit").must(t, http.StatusForbidden)
	for _, path := range changes {
		w.post(path, preview).must(t, http.StatusForbidden)
	}
	w.user = User{"bob", RoleReader | RolePayloads}
	w.get("/s/orders/parked/"+id).must(t, http.StatusOK).has(t, "a secret")
	w.post("/s/orders/parked/preview", preview).must(t, http.StatusForbidden)
	w.user = User{"kim", RoleReader | RoleOperator}
	w.post("/s/orders/parked/preview", preview).must(t, http.StatusOK)
	w.post("/s/orders/parked/"+id+"/edit/preview", url.Values{"body": {"{}"}}).must(t, http.StatusForbidden)
}

func TestRequestsOfOtherSitesAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{}`)
	form := url.Values{"action": {"drop"}, "id": {id}, "place": {"c"}}
	for name, change := range map[string]func(h http.Header){
		"by its fetch metadata":      func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		"of the same site":           func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		"by its origin":              func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "https://evil.example") },
		"by the origin of a sandbox": func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "null") },
	} {
		for _, path := range append([]string{"/s/orders/doctor", "/s/orders/tail"}, changes...) {
			r := w.request(http.MethodPost, path, form)
			change(r.Header)
			if p := w.do(r); p.status != http.StatusForbidden {
				t.Errorf("%s, recognizable %s: status %d, want 403", path, name, p.status)
			}
		}
		r := w.request(http.MethodGet, "/s/orders/tail/events?exchange=user", nil)
		change(r.Header)
		if p := w.do(r); p.status != http.StatusForbidden {
			t.Errorf("live tail, recognizable %s: status %d, want 403", name, p.status)
		}
	}
}

func TestAGetRequestChangesNothing(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{"name": "Ada"}`)
	w.schedule("7")
	before, err := w.row(id)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"action": {"drop"}, "id": {id}, "ids": {id}, "all": {"1"}, "place": {"c"}, "body": {"{}"}, "exchange": {"user"}, "routing_key": {"remind"}, "tags": {"user=7"}}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, path := range append(append([]string{}, pages...), changes...) {
			sep := map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]
			w.do(w.request(method, path+sep+form.Encode(), nil))
		}
	}
	after, err := w.row(id)
	if err != nil || after.State != before.State || string(after.Message.Body) != string(before.Message.Body) || len(w.store.Pending()) != 1 {
		t.Errorf("GET requests have changed something: %v, %v, %d pending", after.State, err, len(w.store.Pending()))
	}
	if len(w.console.actions.newest()) != 0 {
		t.Error("GET requests are in the log of actions")
	}
}

func TestWithoutAuthenticationOnlyALoopbackAddressUnderALoopbackNameIsServed(t *testing.T) {
	w := newWorld(t, func(_ *Source, o *Options) { o.Authorize = nil })
	for _, tt := range []struct {
		name, address, host string
		header              string
		want                int
	}{
		{"loopback", "127.0.0.1", "127.0.0.1:8080", "", 200},
		{"loopback by name", "127.0.0.1", "localhost:8080", "", 200},
		{"loopback of IPv6", "::1", "[::1]:8080", "", 200},
		{"another address", "192.0.2.1", "127.0.0.1:8080", "", 403},
		{"another name, as after DNS rebinding", "127.0.0.1", "evil.example:8080", "", 403},
		{"no name", "127.0.0.1", "", "", 403},
		{"a name that only starts like one", "127.0.0.1", "localhost.evil.example", "", 403},
		{"a proxy", "127.0.0.1", "127.0.0.1:8080", "X-Forwarded-For", 403},
		{"a proxy of RFC 7239", "127.0.0.1", "127.0.0.1:8080", "Forwarded", 403},
	} {
		r := local(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), tt.address)
		r.Host = tt.host
		if tt.header != "" {
			r.Header.Set(tt.header, "203.0.113.9")
		}
		out := httptest.NewRecorder()
		w.console.ServeHTTP(out, r)
		if out.Code != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, out.Code, tt.want)
		}
	}
	out := httptest.NewRecorder()
	w.console.ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if out.Code != http.StatusForbidden {
		t.Errorf("a request without a known local address: status %d, want 403", out.Code)
	}
	w.get("/").must(t, http.StatusOK) // a real server
}

func TestAConsoleWithoutAuthenticationDoesNotListenOnOtherAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8080": true, "localhost:0": true, "[::1]:1": true, ":8080": false, "0.0.0.0:8080": false, "192.0.2.7:80": false, "[::]:80": false, "console.example:80": false, "127.0.0.1": false,
	} {
		if err := CheckAddress(address, false); (err == nil) != want {
			t.Errorf("%s without authentication: %v", address, err)
		}
	}
	if err := CheckAddress("0.0.0.0:8080", true); err != nil {
		t.Error(err)
	}
	w := newWorld(t, func(_ *Source, o *Options) { o.Authorize = nil })
	err := (&Server{Address: "0.0.0.0:0", Console: w.console, Listening: func(net.Addr) { t.Error("it listens") }}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "console.password_file") {
		t.Errorf("the error is %v, want a hint to console.password_file", err)
	}
}

func TestAnErrorOfAuthorizeIsNeitherAPageNorASecondChance(t *testing.T) {
	w := newWorld(t, func(_ *Source, o *Options) {
		o.Authorize = func(r *http.Request) (User, error) {
			if r.Header.Get("X-Test") == "" {
				return User{}, ErrUnauthenticated
			}
			return User{}, &problem{status: 403, text: "not you"}
		}
	})
	for _, path := range append([]string{"/static/console.js", "/static/../s/orders/parked", "/m/static/", "/s/orders/parked?x=/static/console.css"}, pages...) {
		r := w.request(http.MethodGet, path, nil)
		if p := w.do(r); p.status != http.StatusUnauthorized || !strings.HasPrefix(p.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: status %d, want 401 with a challenge", path, p.status)
		}
		r.Header.Set("X-Test", "1")
		if p := w.do(r); p.status != http.StatusForbidden || p.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: status %d, want 403 without a challenge", path, p.status)
		}
	}
}
