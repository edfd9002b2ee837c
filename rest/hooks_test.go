package rest_test

import (
	"context"
	"slices"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestBothHooksOfALoginAreCalled(t *testing.T) {
	s := newLoginServer(t, func(token string) bool { return token == "tok-1" })
	var calls []string
	hook := func(name string) func(context.Context, error) {
		return func(context.Context, error) { calls = append(calls, name) }
	}
	c := client(t, rest.Config{
		Host: s.URL, AuthURL: "login", Username: "u", Password: "p",
		Auth: rest.AuthConfig{Login: hook("auth")}, Hooks: rest.Hooks{Login: hook("hooks")},
	})
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	if want := []string{"auth", "hooks"}; !slices.Equal(calls, want) {
		t.Errorf("called %q, want %q", calls, want)
	}
}
