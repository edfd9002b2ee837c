package service

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// Every command that connects to something is run with passwords that are wrong, or not
// needed: none may show up in what it prints.
func TestNoCommandPrintsAPassword(t *testing.T) {
	const canary = "cAnArY/93"
	broker := withPassword(t, testenv.RabbitMQ(t), canary)
	postgres := withPassword(t, testenv.Postgres(t), canary)
	mysql := withPassword(t, mysqlURL(t, testenv.MariaDB(t)).Reveal(), canary)
	t.Setenv("PARLEY_BROKER_URL", broker)
	t.Setenv("PARLEY_REST_HOST", "https://h")
	t.Setenv("PARLEY_REST_USERNAME", "u")
	t.Setenv("PARLEY_REST_PASSWORD", canary)
	t.Setenv("PARLEY_REST_AUTH_URL", "login")
	for _, database := range []string{postgres, mysql, "postgres://u:" + url.QueryEscape(canary) + "@127.0.0.1:1/x?connect_timeout=1"} {
		t.Setenv("PARLEY_DATABASE_URL", database)
		for _, line := range []string{
			"settings show", "settings show --json", "settings check", "migrate up", "migrate status", "check", "check --json",
			"relay --once --timeout=300ms", "scheduled ls", "parked ls", "publish a b --payload {}",
		} {
			code, out, errs := call(t, append(strings.Fields(line), "--log-level=debug")...)
			if text := out + errs; strings.Contains(text, canary) || strings.Contains(text, url.QueryEscape(canary)) || strings.Contains(text, url.PathEscape(canary)) {
				t.Errorf("%s (exit code %d) prints a password:\n%s", line, code, text)
			}
		}
	}
}

func TestACommandOnABrokerThatRefusesTheLoginEndsInTime(t *testing.T) {
	t.Setenv("PARLEY_BROKER_URL", withPassword(t, testenv.RabbitMQ(t), "wrong"))
	start := time.Now()
	code, _, errs := call(t, "publish", "a", "b", "--payload", "{}", "--direct", "--timeout=4s")
	if code != ExitFailed || time.Since(start) > 15*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(start))
	}
	wantText(t, errs, "the broker does not answer", "403")
}

func withPassword(t *testing.T, address, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	user := "root"
	if u.User != nil && u.User.Username() != "" {
		user = u.User.Username()
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

func FuzzASettingsFileNeverPanicsNorShowsASecret(f *testing.F) {
	const canary = "cAnArY93"
	f.Add("broker: {url: 'amqp://u:" + canary + "@h/'}")
	f.Add("exchanges: [a, [b, fanout], {name: c}]\nbinds: 5\nqueue: {a: b}")
	f.Add(`{"broker": {"password": "` + canary + `"}, "rest": {"credential": {"a": ["` + canary + `"]}}}`)
	f.Add("broker:\n  password: |\n    " + canary + "\n  host: *x")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "s.yaml")
		write(t, file, text)
		s, err := Load(&LoadOptions{File: file, Environ: []string{"PARLEY_BROKER_PASSWORD=" + canary}})
		if err != nil {
			return
		}
		if s.Broker.Password != canary {
			t.Errorf("the environment's password was not taken")
		}
		for _, shown := range s.Show() {
			if strings.Contains(shown.Key, "password") && strings.Contains(shown.text(), canary) {
				t.Errorf("%s is shown", shown.Key)
			}
		}
	})
}

func FuzzListsFromTheEnvironmentNeverPanic(f *testing.F) {
	f.Add("a,b:fanout", "a:#,b")
	f.Add(`[{"name": "a"}]`, `[["a", "b"]]`)
	f.Fuzz(func(t *testing.T, exchanges, binds string) {
		s, err := Load(&LoadOptions{Environ: []string{"PARLEY_QUEUE=q", "PARLEY_EXCHANGES=" + exchanges, "PARLEY_BINDS=" + binds}})
		if err == nil {
			for _, e := range s.Exchanges {
				if e.Name == "" {
					t.Error("an exchange has no name")
				}
			}
		}
	})
}
