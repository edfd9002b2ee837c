package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func accounts(t *testing.T, lines ...string) *Passwords {
	t.Helper()
	var text strings.Builder
	for _, line := range lines {
		name, roles, _ := strings.Cut(line, ":")
		line, err := passwordLine(name, roles, "correct horse", leastIterations)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("# a comment\n\n" + line + "\n")
	}
	p, err := ReadPasswords(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func login(name, password string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if name != "" {
		r.SetBasicAuth(name, password)
	}
	return r
}

func TestOnlyTheRightPasswordIsAccepted(t *testing.T) {
	p := accounts(t, "ada:all", "bob:reader,operator")
	for range 2 { // the second time from memory
		if u, err := p.Authorize(login("bob", "correct horse")); err != nil || u != (User{"bob", RoleReader | RoleOperator}) {
			t.Errorf("the user is %v, %v", u, err)
		}
	}
	if u, err := p.Authorize(login("ada", "correct horse")); err != nil || u.Roles != RoleAll {
		t.Errorf("the user is %v, %v", u, err)
	}
	for _, r := range []*http.Request{login("", ""), login("bob", "wrong"), login("bob", ""), login("eve", "correct horse"), login("Bob", "correct horse"), login("bobc", "orrect horse")} {
		if _, err := p.Authorize(r); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%v is answered with %v", r.Header, err)
		}
	}
}

func TestGuessingPasswordsIsSlowedDown(t *testing.T) {
	p := accounts(t, "ada:all")
	now := time.Now()
	p.now = func() time.Time { return now }
	if _, err := p.Authorize(login("ada", "correct horse")); err != nil {
		t.Fatal(err)
	}
	for range maxFailures {
		if _, err := p.Authorize(login("ada", "guess")); !errors.Is(err, ErrUnauthenticated) {
			t.Fatal(err)
		}
	}
	if _, err := p.Authorize(login("ada", "guess")); !errors.Is(err, ErrTooManyFailures) {
		t.Errorf("the next guess is answered with %v", err)
	}
	if _, err := p.Authorize(login("ada", "correct horse")); err != nil {
		t.Errorf("a user who is logged in is refused: %v", err)
	}
	other := login("ada", "guess")
	other.RemoteAddr = "192.0.2.9:1"
	if _, err := p.Authorize(other); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("another address is answered with %v", err)
	}
	now = now.Add(failureWindow)
	if _, err := p.Authorize(login("ada", "guess")); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("after a minute the answer is %v", err)
	}
}

func TestOnlyTheAccountOfAProxyNamesAUser(t *testing.T) {
	p := accounts(t, "sso:proxy,reader", "bob:reader")
	r := login("sso", "correct horse")
	if _, err := p.Authorize(r); err == nil {
		t.Error("a request of the proxy without a user is accepted")
	}
	r.Header.Set("Parley-User", "ada@example.com")
	if u, err := p.Authorize(r); err != nil || u != (User{"ada@example.com", RoleReader}) {
		t.Errorf("the user is %v, %v", u, err)
	}
	r = login("bob", "correct horse")
	r.Header.Set("Parley-User", "root")
	if u, err := p.Authorize(r); err != nil || u.Name != "bob" {
		t.Errorf("the user is %v, %v, want bob", u, err)
	}
}

func TestMistakesInAPasswordFileAreReportedWithTheirLines(t *testing.T) {
	line, err := PasswordLine("ada", "all", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                                   "has no account",
		"ada":                                "line 1: a line is name:roles:hash",
		"\nada:root:x":                       "line 2: unknown role \"root\"",
		"ada:all:secret":                     "the hash is not pbkdf2-sha256$",
		"ada:all:pbkdf2-sha256$1$AAAA$AAAA":  "iterations",
		"ada:all:pbkdf2-sha256$20000$AAAA$!": "damaged",
		line + "\n" + line:                   "line 2: account \"ada\" is there twice",
	} {
		_, err := ReadPasswords(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the file's content: %v", err)
		}
	}
	for _, args := range [][3]string{{"", "all", "correct horse"}, {"a:b", "all", "correct horse"}, {"a", "none", "correct horse"}, {"a", "all", "short"}} {
		if _, err := PasswordLine(args[0], args[1], args[2]); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
	if roles, err := ParseRoles("reader, payloads"); err != nil || roles.String() != "reader,payloads" {
		t.Errorf("the roles are %v, %v", roles, err)
	}
}
