package main

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheExampleRunsAndShowsWhatItSays(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	want := `created: {ID:1 FullName:Art PageCount:20}
untyped: Art 20
not found: there is no subject 99
listed: 1 Art
listed: 2 Music
downloaded: art.txt, "lines and colours"
after the token was revoked: 2 logins
  (attempt 2: 200)
the request to the busy server was retried
deleted
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}
