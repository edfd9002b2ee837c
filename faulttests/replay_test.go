//go:build unix

package faulttests_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

// The quick version of the test below: three steps of 500 messages.
func TestAReplayThatIsKilledTwiceContinuesWhereItWas(t *testing.T) {
	newLab(t, 1).replayGroup("kill -9 of a replay by group, twice", 1500)
}

func TestAReplayOfTenThousandMessagesThatIsKilledTwiceHandlesEachOnce(t *testing.T) {
	needAll(t)
	for name, newLab := range map[string]func(*testing.T, int) *lab{"PostgreSQL": newLab, "MariaDB": newMariaDBLab, "SQLite": newSQLiteLab} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newLab(t, 1).replayGroup("kill -9 of a replay of 10,000 messages by group, twice, over "+name, 10_000)
		})
	}
}

// replayGroup parks n events of one group, replays them with the command, which it kills twice, and checks progress and effects.
func (l *lab) replayGroup(fault string, n int) {
	l.t.Helper()
	relay := spawn(l.t, l.child("relay"))
	s := l.keeper()
	s.Fail, s.Park = 0, 1 // each event is parked at its first attempt, and handled after a replay
	consumer := spawn(l.t, s)
	consumer.works()
	w := writer{l: l, group: 50}
	w.commit(n)
	progressing(l.t, "all events are parked", func() (int, error) { // ten thousand of them, on three databases at once
		parked, err := l.tryCount("parley_failed WHERE state = 'parked'")
		return n - parked, err
	})
	var group string
	l.each(l.t.Context(), "SELECT DISTINCT fingerprint FROM parley_failed", func() {}, &group)
	if group == "" || l.count("(SELECT DISTINCT fingerprint FROM parley_failed) AS f") != 1 {
		l.t.Fatalf("the events are not one group: %q", group)
	}
	for kill := range 2 {
		l.killReplay(group, n*(kill+1)/4)
		if a, parked := l.replayEntry(); a.State != parley.ActionRunning || int(a.Changed)+parked != n || a.Changed == 0 || parked == 0 {
			l.t.Fatalf("after kill %d the log has %+v, and %d of %d events are parked", kill+1, a, parked, n)
		}
	}
	out, err := l.replayCommand(group).CombinedOutput()
	a, parked := l.replayEntry()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("continued action %d", a.ID)) || !strings.Contains(string(out), fmt.Sprintf("replayed %d of ", n)) {
		l.t.Errorf("the third start: %v: %s", err, out)
	}
	if a.State != parley.ActionDone || int(a.Changed) != n || parked != 0 {
		l.t.Errorf("at the end the log has %+v, and %d of %d events are parked", a, parked, n)
	}
	l.withoutFailures(l.t)
	relay.stop()
	consumer.stop()
	f := l.evidence().inEffect()
	f.check(l.t, 0)
	counts.add(l.t, f.row(fault, 2))
}

// replayCommand returns the command of an operator, which is not started.
func (l *lab) replayCommand(group string) *exec.Cmd {
	l.t.Helper()
	cmd := l.child("replayer").command(l.t)
	cmd.Args = append(cmd.Args, "replay", "--group", group[:12], "--rate", "500/s")
	cmd.SysProcAttr = orphan()
	return cmd
}

// killReplay starts the command, and kills it once it has replayed more than so many messages in all.
func (l *lab) killReplay(group string, after int) {
	l.t.Helper()
	cmd := l.replayCommand(group)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed below
		close(ended)
	}()
	defer func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	}()
	eventually(l.t, "the command replays", func() bool {
		select {
		case <-ended:
			l.t.Fatalf("the command has ended: %s", out.String())
		default:
		}
		return l.count(fmt.Sprintf("parley_log WHERE action = 'replay' AND changed > %d", after)) == 1
	})
}

// replayEntry returns the only entry of the action log, and how many events are parked, both of one moment.
func (l *lab) replayEntry() (a parley.Action, parked int) {
	l.t.Helper()
	entries := 0
	l.each(l.t.Context(), "SELECT id, state, changed, (SELECT count(*) FROM parley_failed WHERE state = 'parked') FROM parley_log",
		func() { entries++ }, &a.ID, &a.State, &a.Changed, &parked)
	if entries != 1 {
		l.t.Errorf("the log has %d entries, want one of the whole replay", entries)
	}
	return a, parked
}
