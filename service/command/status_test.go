package command

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestStatusShowsOutboxRetriesAndParkedOnEveryDatabase(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := openFlag(t, flag)
			wantText(t, mustCall(t, ExitOK, "status", flag), "no problems", "due        0")
			ids := keep(t, s, "orders", parkedRow, waitingRow, kept{state: parley.FailureWaiting, after: -2 * time.Minute})
			park(t, s, 1, "too large for the broker")
			publish(t, s, remind, 1, parley.WithDueAt(time.Now().Add(time.Hour)))
			publish(t, s, renamed, 2)
			out := mustCall(t, ExitOK, "status", flag, "--app-id=shop", "--queue=orders")
			wantText(t, out, "shop  20", "leader  ", "due        1, the oldest since 20", "scheduled  1",
				"CONSUMER  WAITING  BEHIND  RUNNING  OVERDUE", "orders    2        0       0        2m", "outbox    -       1 ", "consumer  orders  1 ",
				ids[0], "o1", "too large for the broker", `last\x1b[2J`, "are overdue, the oldest for 2m", "parked messages: 2")
			if strings.ContainsRune(out, 0x1b) {
				t.Error("the output has escape sequences although it is no terminal")
			}
			text := mustCall(t, ExitOK, "status", flag, "-o", "json")
			var got struct {
				Relay  struct{ Due struct{ N int } }
				Parked []any
			}
			if err := json.Unmarshal([]byte(text), &got); err != nil || got.Relay.Due.N != 1 || len(got.Parked) != 2 {
				t.Errorf("JSON has %+v (%v), want one due record and two parked places\n%s", got, err, text)
			}
			wantText(t, mustCall(t, ExitOK, "status", flag, "-o", "yaml"), "\nrelay:\n  leader: ", "\nlast_errors:\n  - id: ")
		})
	}
}

func TestStatusShowsTheQueuesOfTheBroker(t *testing.T) {
	name := testenv.Unique(t, "parley_status")
	servicetest.CleanUp(t, name)
	flags := []string{"--broker-url=" + testenv.RabbitMQ(t), "--queue=" + name, "--exchanges=" + name}
	wantText(t, mustCall(t, ExitOK, append(flags, "status")...), "does not exist", "start its consumer, or run: topology apply")
	mustCall(t, ExitOK, append(flags, "topology", "apply", "--binds="+name)...)
	mustCall(t, ExitOK, append(flags, "publish", name, "made", "--direct", "--payload={}")...)
	servicetest.Await(t, "the message is counted", func() error {
		out := mustCall(t, ExitOK, append(flags, "status")...)
		if !strings.Contains(out, name+"  1         0          queue") {
			return errNotYet(out)
		}
		return nil
	})
	wantText(t, mustCall(t, ExitOK, append(flags, "status")...), "has messages but no consumer")
}

type errNotYet string

func (e errNotYet) Error() string { return string(e) }

func TestAStatusThatReadsNothingFails(t *testing.T) {
	wantText(t, mustCall(t, ExitFailed, "status", "--broker-url=amqp://127.0.0.1:1/", "--queue=q", "--timeout=300ms"), "cannot determine broker")
	wantText(t, mustCall(t, ExitUsage, "status"), "database.url: is missing")
	wantText(t, mustCall(t, ExitUsage, "status", "--database-url=memory:"), "is in-process only")
	wantText(t, mustCall(t, ExitUsage, "status", "--database-url=sqlite:x.db", "-o", "xml"), `-o "xml" is not a format`)
	wantText(t, mustCall(t, ExitUsage, "status", "--database-url=sqlite:x.db", "--interval=1s"), "--interval requires --watch")
	wantText(t, mustCall(t, ExitUsage, "status", "--database-url=sqlite:x.db", "--watch", "--interval=1ms"), "at least 100ms")
}

// A countedWriter calls enough after n writes that contain a text.
type countedWriter struct {
	bytes.Buffer
	text   string
	n      int
	enough func()
}

func (w *countedWriter) Write(p []byte) (int, error) {
	if w.n -= bytes.Count(p, []byte(w.text)); w.n <= 0 {
		w.enough()
	}
	return w.Buffer.Write(p)
}

func TestAWatchedStatusIsRepeatedUntilItIsInterrupted(t *testing.T) {
	flag := sqliteURL(t)
	for format, text := range map[string]string{"table": "Relay", "json": `"app_id"`} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &countedWriter{text: text, n: 3, enough: cancel}
		root := NewOperator("parley", "for a test")
		root.SetOut(out)
		root.SetErr(out)
		if code := Execute(ctx, root, []string{"status", flag, "--watch", "--interval=100ms", "-o", format}); code != ExitOK {
			t.Errorf("%s: exit code %d\n%s", format, code, out)
		}
		if n := strings.Count(out.String(), text); n != 3 {
			t.Errorf("%s: %d outputs, want 3:\n%s", format, n, out)
		}
		cancel()
	}
}
