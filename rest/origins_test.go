package rest_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"golang.org/x/oauth2"

	"github.com/parley-go/parley/rest"
)

func TestTokensGoOnlyToTheirOrigins(t *testing.T) {
	var asked int
	a, err := rest.NewAuth(roundTrip(func(r *http.Request) (*http.Response, error) {
		resp := response(r, 200)
		resp.Header.Set("Sent", r.Header.Get("Authorization"))
		return resp, nil
	}), source(func(context.Context) (*oauth2.Token, error) { asked++; return &oauth2.Token{AccessToken: "t"}, nil }), []string{"https://api.example.com/base"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for target, want := range map[string]bool{
		"https://api.example.com/other": true, "https://API.example.com:443/x": true, "http://api.example.com/base": false,
		"https://api.example.com:8443/base": false, "https://example.com/base": false, "https://sub.api.example.com/": false,
		"https://api.example.com.evil/": false, "https://api.example.com./": false, "https://user@api.example.com.evil/": false,
	} {
		r, err := http.NewRequest("GET", target, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := a.RoundTrip(r)
		if err != nil || (resp.Header.Get("Sent") != "") != want {
			t.Errorf("%s: token sent %q, want one: %v", target, resp.Header.Get("Sent"), want)
		}
		if len(r.Header) != 0 {
			t.Errorf("the caller's request was changed: %v", r.Header)
		}
	}
	if asked != 1 {
		t.Errorf("%d logins", asked)
	}
}

func TestExtraHostsGetNoTokenAndTrustedHostsDo(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, fmt.Sprintf("%q", r.Header.Get("Authorization")))
	}
	extra, trusted, login := serve(t, echo), serve(t, echo), newLoginServer(t, nil)
	c := client(t, rest.Config{Host: login.URL, AuthURL: "login", Username: "u", Password: "p", ExtraHosts: []string{extra.URL}, TrustedHosts: []string{trusted.URL + "/base"}})
	for host, want := range map[string]string{extra.URL: "", trusted.URL + "/": "Bearer tok-1"} {
		if got, err := rest.Get[string](t.Context(), c, "x", rest.Host(host)); err != nil || got != want {
			t.Errorf("%s got %q, %v, want %q", host, got, err, want)
		}
	}
	if got, err := rest.Get[string](t.Context(), c, "x", rest.Host(trusted.URL), rest.NoAuth()); err != nil || got != "" {
		t.Errorf("NoAuth: %q, %v", got, err)
	}
	if got, err := rest.Get[string](t.Context(), c, "x", rest.Host(trusted.URL), rest.Header("Authorization", "")); err != nil || got != "" {
		t.Errorf("empty header: %q, %v", got, err)
	}
	if got, err := rest.Get[string](t.Context(), c, "x", rest.Host(trusted.URL), rest.Header("Authorization", "Mine")); err != nil || got != "Mine" {
		t.Errorf("own header: %q, %v", got, err)
	}
}
