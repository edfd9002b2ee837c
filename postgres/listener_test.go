package postgres

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

// listening returns a listener that runs on the channel "news", and what notified counts.
func listening(t *testing.T) (l *listener, arrived <-chan struct{}, stop func() error) {
	t.Helper()
	return listeningOn(t, testenv.Postgres(t))
}

func listeningOn(t *testing.T, database string) (l *listener, arrived <-chan struct{}, stop func() error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "LISTEN news"); err != nil {
		t.Fatal(err)
	}
	l = newListener(conn)
	ctx, cancel := context.WithCancel(t.Context())
	news, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() { ended <- l.run(ctx, func(context.Context) error { news <- struct{}{}; return nil }) }()
	return l, news, sync.OnceValue(func() error { cancel(); return <-ended })
}

// listenerPatience is how long a test waits for what must happen, also on a busy machine.
const listenerPatience = time.Minute

func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(listenerPatience):
		t.Fatal("timed out: " + what)
		panic("unreachable")
	}
}

func TestASilentlyCutConnectionEndsTheListenerWhateverIsAskedOfIt(t *testing.T) {
	testenv.Long(t, "the silence takes 10 seconds")
	t.Parallel()
	u, err := url.Parse(testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.Start(t, u.Host)
	u.Host = proxy.Addr()
	l, _, _ := listeningOn(t, u.String())
	proxy.Blackhole()
	patience := time.After(listenerPatience)
	for {
		// What needs no answer of the server succeeds on a dead connection.
		err := l.do(t.Context(), func(context.Context, *pgx.Conn) error { return nil })
		if errors.Is(err, errListenerEnded) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-patience:
			t.Fatal("timed out: the listener ends")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestAListenerRunsStatementsWhileItWaitsForNotifications(t *testing.T) {
	l, arrived, stop := listening(t)
	for range 3 {
		got, err := doFor(t.Context(), l, func(ctx context.Context, c *pgx.Conn) (n int, err error) {
			err = c.QueryRow(ctx, "SELECT 42").Scan(&n)
			return n, err
		})
		if err != nil || got != 42 {
			t.Fatalf("got %d (%v), want 42", got, err)
		}
		err = l.do(t.Context(), func(ctx context.Context, c *pgx.Conn) error { _, err := c.Exec(ctx, "NOTIFY news"); return err })
		if err != nil {
			t.Fatal(err)
		}
		within(t, "the notification", arrived)
	}
	_ = stop() // the interrupted wait may report the end of its context
}

func TestAFailedStatementEndsTheListener(t *testing.T) {
	l, _, stop := listening(t)
	wrong := errors.New("wrong")
	if err := l.do(t.Context(), func(context.Context, *pgx.Conn) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("do returned %v, want its function's error", err)
	}
	if err := stop(); !errors.Is(err, wrong) {
		t.Errorf("the listener ended with %v, want that error", err)
	}
	if err := l.do(t.Context(), func(context.Context, *pgx.Conn) error { return nil }); !errors.Is(err, errListenerEnded) {
		t.Errorf("do returned %v after the end, want %v", err, errListenerEnded)
	}
}

// The race detector checks that a late value is not read.
func TestAValueThatComesTooLateIsNotUsed(t *testing.T) {
	l, _, stop := listening(t)
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	got, err := doFor(ctx, l, func(context.Context, *pgx.Conn) (int, error) {
		close(begun)
		cancel()
		return 42, nil
	})
	within(t, "the function begins", begun)
	if err == nil && got != 42 || err != nil && (got != 0 || !errors.Is(err, context.Canceled)) {
		t.Errorf("got %d (%v), want the value, or none and the end of the context", got, err)
	}
	_ = stop()
}
