package command

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.PgxCloses()) }

// user is a payload for tests.
type user struct {
	ID int64 `json:"id"`
}

var (
	renamed = parley.NewEvent[user]("user", "renamed")
	remind  = parley.NewEvent[user]("user", "remind.photo")
)

// call runs an operator command, and returns exit code and output.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return callWith(t, nil, strings.NewReader(""), args...)
}

func callWith(t *testing.T, register func(*service.Service) error, in io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	root := NewOperator("parley", "for a test")
	if register != nil {
		root = New("svc", register)
	}
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(in)
	code = Execute(t.Context(), root, args)
	return code, out.String(), errs.String()
}

// mustCall fails the test unless the exit code is want.
func mustCall(t *testing.T, want int, args ...string) string {
	t.Helper()
	code, out, errs := call(t, args...)
	if code != want {
		t.Fatalf("parley %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errs)
	}
	return out + errs
}

func wantText(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("the output lacks %q:\n%s", w, text)
		}
	}
}

// sqliteURL returns the flag for a fresh SQLite file with tables.
func sqliteURL(t *testing.T) string {
	t.Helper()
	flag := "--database-url=sqlite:" + filepath.Join(t.TempDir(), "test.db")
	wantText(t, mustCall(t, ExitOK, "migrate", "up", flag), "up to date")
	return flag
}

// openFlag opens a service on the database of a flag.
func openFlag(t *testing.T, flag string) *service.Service {
	t.Helper()
	_, url, _ := strings.Cut(flag, "=")
	return openSettings(t, &settings.Settings{AppID: "test", Database: settings.Database{URL: settings.URL(url)}})
}

func openSettings(t *testing.T, with *settings.Settings) *service.Service {
	t.Helper()
	s, err := service.Open(with, &service.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func publish(t *testing.T, s *service.Service, e *parley.EventType[user], id int64, options ...parley.PublishOption) {
	t.Helper()
	err := s.InTx(t.Context(), func(tx *service.Tx) error {
		_, err := parley.Publish(t.Context(), s.Outbox.In(tx), e, user{id}, options...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
