//go:build unix

package faulttests_test

import (
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// A childSpec describes a child process: parley itself, or the service in folder victim. It gets its settings from
// its environment, as in production.
type childSpec struct {
	Role      string // a key of roles
	Database  string
	Broker    string
	Queue     string
	Exchanges []string
	Batch     int
	// Point is the failpoint where the child kills itself at the Pass-th time, or stops itself with Freeze.
	Point  point
	Pass   int
	Freeze bool
	// Fault has more faults in the syntax of package failpoint: "relay.claimed:*:sleep=20ms".
	Fault string
	// Settings are additional variables. They override those of the role: "PARLEY_RELAY_MODE=parallel".
	Settings []string
	// First is the number of the producer's first event.
	First int64
	// Fail makes the handler fail the first attempt of one event in Fail.
	Fail int
	// Park makes the handler park one event in Park.
	Park int
	// Plain selects a build without the race detector, which needs much more memory.
	Plain bool
	// WithoutInbox makes a consumer handle each delivery, including duplicates.
	WithoutInbox bool
}

func (l *lab) child(role string) childSpec {
	return childSpec{Role: role, Database: l.database, Broker: l.broker, Queue: l.queue, Exchanges: l.exchanges, Batch: 100}
}

// A role is a program, its command, and the message that it logs when it is ready, or two separated by |.
type role struct{ program, command, works string }

var roles = map[string]role{
	"relay":    {"parley", "relay", "relay: active|relay: standby"},
	"consumer": {"victim", "consumer", "consumer: subscribed"},
	"callee":   {"victim", "run", "consumer: subscribed"},
	"caller":   {"victim", "run", "consumer: subscribed"},
	"producer": {"victim", "produce", "victim: first event committed"},
	"reader":   {"victim", "read", "victim: reading started"},
	"keeper":   {"victim", "keep", "victim: subscribed"},
	"replayer": {"parley", "parked", ""}, // an operator
}

// command returns the program with its settings, not yet started.
func (s childSpec) command(t *testing.T) *exec.Cmd {
	t.Helper()
	r, ok := roles[s.Role]
	if !ok {
		t.Fatalf("there is no role %q", s.Role)
	}
	cmd := exec.Command(built(t, r.program, s.Plain), r.command)
	cmd.Dir = t.TempDir() // a folder without a settings file
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "PARLEY_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	// Otherwise the race detector makes each child sleep for a second at its end.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0", "PARLEY_FAULT="+s.fault(), "PARLEY_APP_ID=faults",
		"PARLEY_DATABASE_URL="+withCanary(t, s.Database), "PARLEY_DATABASE_MAX_CONNECTIONS=12",
		s.brokerSetting(), "PARLEY_BROKER_CONFIRM_TIMEOUT=10s")
	if r.command == "relay" || r.command == "run" {
		cmd.Env = append(cmd.Env, "PARLEY_RELAY_BATCH_SIZE="+strconv.Itoa(s.Batch), "PARLEY_RELAY_POLL_INTERVAL=50ms", "PARLEY_RELAY_STANDBY_INTERVAL=50ms")
	}
	if s.Point == midPublish {
		cmd.Env = append(cmd.Env, "PARLEY_BROKER_WINDOW="+strconv.Itoa(max(s.Batch/2, 1)))
	}
	if r.program == "victim" {
		cmd.Env = append(cmd.Env, s.victimSettings()...)
	}
	cmd.Env = append(cmd.Env, s.Settings...)
	return cmd
}

// brokerSetting names one broker, or the nodes of a cluster.
func (s childSpec) brokerSetting() string {
	if strings.Contains(s.Broker, ",") {
		return "PARLEY_BROKER_URLS=" + s.Broker
	}
	return "PARLEY_BROKER_URL=" + s.Broker
}

func (s childSpec) victimSettings() []string {
	out := []string{
		"PARLEY_QUEUE=" + s.Queue, "PARLEY_EXCHANGES=" + strings.Join(s.Exchanges, ","), "PARLEY_CONSUMER_CONCURRENCY=8",
		"PARLEY_CONSUMER_IMMEDIATE_RETRIES=[]", "PARLEY_CONSUMER_RETRY_DELAYS=1s",
		"PARLEY_CONSUMER_FAILURES_STORE=queue", // tests of the table override this in Settings
		"VICTIM_FIRST=" + strconv.FormatInt(s.First, 10), "VICTIM_FAIL=" + strconv.Itoa(s.Fail), "VICTIM_PARK=" + strconv.Itoa(s.Park),
	}
	if s.WithoutInbox {
		out = append(out, "VICTIM_WITHOUT_INBOX=1")
	}
	return out
}

// canary is a password that occurs in no other place.
const canary = "cAnArY-31f07e"

// withCanary adds the canary to a database URL without a password. A server that accepts such a URL ignores the password.
func withCanary(t *testing.T, address string) string {
	t.Helper()
	if strings.Contains(address, canary) { // package url does not read several hosts
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, has := u.User.Password(); u.Scheme != "postgres" || has {
		return address
	}
	u.User = url.UserPassword(u.User.Username(), canary)
	return u.String()
}

// secrets are the strings that no output may contain. A short password, such as that of the machine's
// own broker, may be part of any word, so only its form in a URL counts.
func (s childSpec) secrets() []string {
	out := []string{canary}
	for _, address := range append(strings.Split(s.Broker, ","), s.Database) {
		u, err := url.Parse(address)
		if err != nil {
			continue
		}
		if password, has := u.User.Password(); has && password != "" {
			out = append(out, ":"+password+"@")
		}
	}
	return out
}
