//go:build unix

package faulttests_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

// longLimit is the longest recovery after an outage of a minute: the backoff has
// grown to 30 s by then, so that a fleet does not overload a server that has just restarted.
const longLimit = 40 * time.Second

// pass waits for the duration of a fault.
func pass(d time.Duration) { <-time.After(d) }

// family returns the pids of the server and of the processes that it has started.
func (s *server) family() []int {
	s.t.Helper()
	pids := []int{s.cmd.Process.Pid}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, after, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(after) // state, parent
		if len(fields) > 1 && fields[1] == strconv.Itoa(s.cmd.Process.Pid) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// freeze stops the server and its children for a while, like the live migration of a virtual machine.
func (s *server) freeze(d time.Duration, silent bool) fault {
	return fault{silent: silent, do: func() time.Time {
		pids := s.family()
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				s.t.Fatal(err)
			}
		}
		pass(d)
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				s.t.Fatal(err)
			}
		}
		return time.Now()
	}}
}

// outage keeps the server down for a while.
func (s *server) outage(d time.Duration) fault {
	return fault{do: func() time.Time {
		s.signal(syscall.SIGKILL)
		pass(d)
		s.start()
		return s.opened
	}}
}

func TestAFrozenBrokerIsNoticedAndOutlived(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	l := newLabOn(t, testenv.Postgres(t), s.url, 2)
	l.withFaults("SIGSTOP of the broker for 30 s", 3*200, recoveryLimit, s.freeze(30*time.Second, false))
}

func TestAFrozenDatabaseIsOutlived(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privatePostgres(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 2)
	l.withFaults("SIGSTOP of the database for 20 s", 200, recoveryLimit, s.freeze(20*time.Second, true))
}

func TestAMinuteWithoutTheBrokerCostsNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	l := newLabOn(t, testenv.Postgres(t), s.url, 2)
	l.withFaults("the broker is down for a minute", 200, longLimit, s.outage(time.Minute))
}

// The consumer's kill switch leaves the messages in their queue while every handler fails. The few messages that fail before it
// trips wait in retry queues: an outage that is shorter than their retry plan parks none of them.
func TestAMinuteWithoutTheDatabaseParksNothing(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privatePostgres(t)
	l := newLabOn(t, s.url, testenv.RabbitMQ(t), 2)
	l.withFaults("the database is down for a minute", 0, longLimit, s.outage(time.Minute))
}
