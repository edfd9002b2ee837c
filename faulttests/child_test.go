package faulttests_test

import (
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// A childSpec is a program in a process of its own: parley itself, or the service in folder victim. Its settings
// reach it as they do with users, in its environment.
type childSpec struct {
	Role      string // a key of roles
	Database  string
	Broker    string
	Queue     string
	Exchanges []string
	Batch     int
	// Point is where it ends itself, at the Pass-th time, or stops itself with Freeze.
	Point  point
	Pass   int
	Freeze bool
	// Fault is more that happens in it, as package failpoint reads it: "relay.claimed:*:sleep=20ms".
	Fault string
	// Settings are further variables, or others than the roles have: "PARLEY_RELAY_MODE=parallel".
	Settings []string
	// First is the number of the first event that a producer writes.
	First int64
	// Fail has the handler fail the first attempt of one of so many events.
	Fail int
	// Park has it set aside one of so many events.
	Park int
	// Plain has it built without the race detector, which takes many times the memory.
	Plain bool
	// WithoutInbox has a consumer handle what comes, duplicates too.
	WithoutInbox bool
}

func (l *lab) child(role string) childSpec {
	return childSpec{Role: role, Database: l.database, Broker: l.broker, Queue: l.queue, Exchanges: l.exchanges, Batch: 100}
}

// A role is a program, its command, and the message that it logs when it works, or two with | between them.
type role struct{ program, command, works string }

var roles = map[string]role{
	"relay":    {"parley", "relay", "relay: active|relay: standby"},
	"consumer": {"victim", "consumer", "consumer: subscribed"},
	"callee":   {"victim", "run", "consumer: subscribed"},
	"caller":   {"victim", "run", "consumer: subscribed"},
	"producer": {"victim", "produce", "victim: has committed its first event"},
	"reader":   {"victim", "read", "victim: reads"},
}

// command returns the program with its settings, not yet started.
func (s childSpec) command(t *testing.T) *exec.Cmd {
	t.Helper()
	r, ok := roles[s.Role]
	if !ok {
		t.Fatalf("there is no role %q", s.Role)
	}
	cmd := exec.Command(built(t, r.program, s.Plain), r.command)
	cmd.Dir = t.TempDir() // no settings file lies about there
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "PARLEY_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	// The race detector would have each child sleep for a second at its end.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0", "PARLEY_FAULT="+s.fault(), "PARLEY_APP_ID=faults",
		"PARLEY_DATABASE_URL="+withCanary(t, s.Database), "PARLEY_DATABASE_MAX_CONNECTIONS=12",
		"PARLEY_BROKER_URL="+s.Broker, "PARLEY_BROKER_CONFIRM_TIMEOUT=10s")
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

func (s childSpec) victimSettings() []string {
	out := []string{
		"PARLEY_QUEUE=" + s.Queue, "PARLEY_EXCHANGES=" + strings.Join(s.Exchanges, ","), "PARLEY_CONSUMER_LANES=8",
		"PARLEY_CONSUMER_QUICK_RETRIES=[]", "PARLEY_CONSUMER_RETRY_DELAYS=1s",
		"VICTIM_FIRST=" + strconv.FormatInt(s.First, 10), "VICTIM_FAIL=" + strconv.Itoa(s.Fail), "VICTIM_PARK=" + strconv.Itoa(s.Park),
	}
	if s.WithoutInbox {
		out = append(out, "VICTIM_WITHOUT_INBOX=1")
	}
	return out
}

// canary is a password that is nowhere else.
const canary = "cAnArY-31f07e"

// withCanary gives a database's URL a password that the server does not ask for: one without a password trusts everybody.
func withCanary(t *testing.T, address string) string {
	t.Helper()
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

// secrets are the words of the spec that no output may hold. A short password, such as that of the machine's
// own broker, may be a part of any word, so only its place in a URL counts.
func (s childSpec) secrets() []string {
	out := []string{canary}
	for _, address := range []string{s.Database, s.Broker} {
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
