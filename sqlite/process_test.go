package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/sqlite"
)

// A relay process is this test binary, started with these variables.
const (
	fileVariable = "PARLEY_TEST_SQLITE_RELAY"
	modeVariable = "PARLEY_TEST_SQLITE_MODE"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(fileVariable); path != "" {
		if err := relayProcess(path, os.Getenv(modeVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// relayProcess prints the number of each message it "sends", until its input ends.
func relayProcess(path, mode string) error {
	s, err := sqlite.Open(path, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	cfg := &parley.RelayConfig{BatchSize: 7, PollInterval: 10 * time.Millisecond, StandbyInterval: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	if mode == parley.RelayModeParallel.String() {
		cfg.Mode = parley.RelayModeParallel
	}
	relay, err := parley.NewRelay(s, printer{}, cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return relay.Run(ctx)
}

type printer struct{}

func (printer) Ready(context.Context) error { return nil }

func (printer) Publish(_ context.Context, messages []parley.Message) []error {
	for i := range messages {
		fmt.Println(messages[i].ID)
	}
	return nil
}

// startRelay starts a relay process. stop ends it and returns the numbers that it has sent.
func startRelay(t *testing.T, path string, mode parley.RelayMode, seen func()) (stop func() []int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fileVariable+"="+path, modeVariable+"="+mode.String())
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	sent := make(chan []int, 1)
	go func() {
		var all []int
		for lines := bufio.NewScanner(out); lines.Scan(); {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Errorf("a relay process prints %q", lines.Text())
			}
			all = append(all, n)
			seen()
		}
		sent <- all
	}()
	return func() []int {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		all := <-sent
		if err := cmd.Wait(); err != nil {
			t.Errorf("relay process: %v", err)
		}
		return all
	}
}

func TestTwoProcessesShareOneFile(t *testing.T) {
	for _, mode := range []parley.RelayMode{parley.RelayModeOrdered, parley.RelayModeParallel} {
		t.Run(mode.String(), func(t *testing.T) {
			const producers, each = 3, 60
			path := filepath.Join(t.TempDir(), "test.db")
			s := openAt(t, path, nil)
			arrived := make(chan struct{}, 10*producers*each)
			seen := func() { arrived <- struct{}{} }
			first, second := startRelay(t, path, mode, seen), startRelay(t, path, mode, seen)
			var wg sync.WaitGroup
			for p := range producers {
				wg.Go(func() {
					for i := range each {
						insert(t, s, parley.Record{Message: parley.Message{
							Exchange: "orders", ID: strconv.Itoa(p*each + i), Kind: parley.KindCommand, Body: []byte("{}"),
						}})
					}
				})
			}
			wg.Wait()
			await(t, arrived, producers*each)
			one, two := first(), second()
			t.Logf("one process has sent %d records, the other one %d", len(one), len(two))
			if mode == parley.RelayModeOrdered && (!perProducer(one, each) || !perProducer(two, each)) {
				t.Errorf("an ordered relay has changed the order of one producer's records")
			}
			all := slices.Sorted(slices.Values(append(one, two...)))
			for i, n := range all {
				if i != n {
					t.Fatalf("sent were %v: want each of %d once", all, producers*each)
				}
			}
		})
	}
}

// await waits for n arrivals.
func await(t *testing.T, arrived <-chan struct{}, n int) {
	t.Helper()
	timeout := time.NewTimer(60 * time.Second)
	defer timeout.Stop()
	for i := range n {
		select {
		case <-arrived:
		case <-timeout.C:
			t.Fatalf("only %d of %d records were sent", i, n)
		}
	}
}

// perProducer reports whether the records of each producer are in order.
func perProducer(sent []int, each int) bool {
	last := map[int]int{}
	for _, n := range sent {
		if before, ok := last[n/each]; ok && n < before {
			return false
		}
		last[n/each] = n
	}
	return true
}
