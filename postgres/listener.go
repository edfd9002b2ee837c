package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// A listener waits for notifications on its connection, and runs statements there meanwhile.
type listener struct {
	conn  *pgx.Conn
	ended chan struct{} // closed when run returns
	heard time.Time     // when the server last sent something by itself or answered ask; belongs to run

	mu        sync.Mutex // guards the fields below
	requests  []*request
	interrupt context.CancelFunc // ends the wait for a notification, or nil
}

type request struct {
	run  func(ctx context.Context, c *pgx.Conn) error
	done chan error // has room for the result
}

var errListenerEnded = errors.New("the listening connection has ended")

// statementTimeout limits what a listener runs; its connection is closed afterwards.
const statementTimeout = 5 * time.Second

// silenceLimit is how long a listener trusts a silent connection.
const silenceLimit = 5 * time.Second

func newListener(conn *pgx.Conn) *listener {
	return &listener{conn: conn, ended: make(chan struct{}), heard: time.Now()}
}

// do runs fn on the listener's goroutine.
func (l *listener) do(ctx context.Context, fn func(ctx context.Context, c *pgx.Conn) error) error {
	q := &request{fn, make(chan error, 1)}
	l.mu.Lock()
	l.requests = append(l.requests, q)
	if l.interrupt != nil {
		l.interrupt()
	}
	l.mu.Unlock()
	select {
	case err := <-q.done:
		return err
	case <-l.ended:
		return errListenerEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// doFor is do with a value. After an error of ctx the function may still run: its value is then never read.
func doFor[T any](ctx context.Context, l *listener, fn func(ctx context.Context, c *pgx.Conn) (T, error)) (T, error) {
	var got T
	err := l.do(ctx, func(ctx context.Context, c *pgx.Conn) (err error) {
		got, err = fn(ctx, c)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return got, nil
}

// run calls notified for each notification until ctx ends or the connection is lost.
func (l *listener) run(ctx context.Context, notified func(ctx context.Context) error) error {
	defer close(l.ended)
	for {
		if err := l.serve(ctx); err != nil {
			return err
		}
		arrived, err := l.wait(ctx)
		if err == nil && arrived {
			err = notified(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// serve runs what was requested. An error of the connection ends the listener.
func (l *listener) serve(ctx context.Context) error {
	for {
		l.mu.Lock()
		if len(l.requests) == 0 {
			l.mu.Unlock()
			return nil
		}
		q := l.requests[0]
		l.requests = l.requests[1:]
		l.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, statementTimeout)
		err := q.run(limited, l.conn)
		cancel()
		q.done <- err
		if err != nil {
			// Whether the flag is raised is unknown now. A new connection begins without one.
			return err
		}
	}
}

// wait reports whether a notification has arrived. It returns false when there is a request. After 5 seconds of silence it asks
// the server whether it is still the primary: a dead connection looks like silence. Requests do not end the silence, because they may need
// no answer of the server.
func (l *listener) wait(ctx context.Context) (arrived bool, err error) {
	silent, cancel := context.WithDeadline(ctx, l.heard.Add(silenceLimit))
	defer cancel()
	l.mu.Lock()
	if len(l.requests) > 0 && time.Since(l.heard) < silenceLimit {
		l.mu.Unlock()
		return false, nil
	}
	l.interrupt = cancel
	l.mu.Unlock()
	_, err = l.conn.WaitForNotification(silent)
	l.mu.Lock()
	l.interrupt = nil
	requested := len(l.requests) > 0
	l.mu.Unlock()
	switch {
	case err == nil:
		l.heard = time.Now()
		return true, nil
	case ctx.Err() != nil || silent.Err() == nil || l.conn.IsClosed():
		return false, err
	case requested && time.Since(l.heard) < silenceLimit:
		return false, nil
	}
	ping, cancelPing := context.WithTimeout(ctx, 5*time.Second)
	defer cancelPing()
	if err := ask(ping, l.conn); err != nil {
		return false, err
	}
	l.heard = time.Now()
	return false, nil
}
