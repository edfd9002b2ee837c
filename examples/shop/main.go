// Command shop runs three services in one process. users registers people in its database,
// schedules a reminder for each and cancels it; notifications turns events into SMS commands
// and handles them; pricing answers calls and has a REST API with a login. They share
// only contracts and a broker.
//
//	go run ./examples/shop            SQLite files and a broker within the process
//	go run ./examples/shop -servers   PARLEY_DATABASE_URL (PostgreSQL) and PARLEY_BROKER_URL (RabbitMQ)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/parley-go/parley"
)

func main() {
	servers := flag.Bool("servers", false, "use PostgreSQL and RabbitMQ instead of SQLite and a broker within the process")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	if *servers {
		err = runOnServers(ctx, os.Stdout, os.Getenv("PARLEY_DATABASE_URL"), os.Getenv("PARLEY_BROKER_URL"))
	} else {
		err = runEmbedded(ctx, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// play starts the three services and runs the scenario.
func play[Tx SQL](ctx context.Context, out io.Writer, c *contracts, broker parley.Broker, open func(name string) (*database[Tx], error)) error {
	events := &journal{out: out, happened: make(chan struct{}, 100)}
	u, err1 := newUsers(c, broker, open, events)
	n, err2 := newNotifications(c, broker, open, events)
	p, err3 := newPricing(c, broker, open)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	for _, s := range []*service[Tx]{u.service, n.service, p.service} {
		if err := s.prepare(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	runners := append(append(u.runners(), n.runners()...), p.runners()...)
	customers := parley.RunnerFunc(func(ctx context.Context) error { // when it returns, parley.Run stops the services
		if err := u.visit(ctx, p.url); err != nil {
			return err
		}
		return events.wait(ctx, 4)
	})
	if err := parley.Run(ctx, append(runners, p, customers)...); err != nil {
		return err
	}
	return events.check("sms to Ada: Welcome", "sms to Bob: Welcome", "sms to Bob: Please add a photo", "pricing answered call: 10 texts cost 50 cents")
}

// A journal prints and records what happens.
type journal struct {
	out      io.Writer
	happened chan struct{}

	mu    sync.Mutex // guards the field below, and out
	lines []string
}

// note prints and records an outcome of the scenario.
func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	j.lines = append(j.lines, line)
	fmt.Fprintln(j.out, line)
	j.happened <- struct{}{}
}

// say prints a line that is not an outcome.
func (j *journal) say(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(j.out, format+"\n", args...)
}

func (j *journal) wait(ctx context.Context, n int) error {
	for range n {
		select {
		case <-j.happened:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// check compares the recorded outcomes, in any order, with want.
func (j *journal) check(want ...string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	left := map[string]int{}
	for _, line := range j.lines {
		left[line]++
	}
	var errs []error
	for _, line := range want {
		if left[line]--; left[line] < 0 {
			errs = append(errs, fmt.Errorf("%q did not happen", line))
		}
	}
	for line, n := range left {
		if n > 0 {
			errs = append(errs, fmt.Errorf("%q happened, and should not have", line))
		}
	}
	return errors.Join(errs...)
}
