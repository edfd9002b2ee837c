package command

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
)

// Every command that connects to a server runs with wrong or unneeded passwords. None of them may appear in the output.
func TestNoCommandPrintsAPassword(t *testing.T) {
	const canary = "cAnArY/93"
	broker := withPassword(t, testenv.RabbitMQ(t), canary)
	postgres := withPassword(t, testenv.Postgres(t), canary)
	mysql := withPassword(t, servicetest.MySQLURL(t, testenv.MariaDB(t)), canary)
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
	if code != ExitFailed || testenv.Late(t, time.Since(start), 15*time.Second) {
		t.Errorf("exit code %d after %v", code, time.Since(start))
	}
	wantText(t, errs, "log in to", "403", "check user, password")
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
