package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// syncBuffer is a log that goroutines write to.
type syncBuffer struct {
	mu sync.Mutex // guards the field below
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestRunMovesAnEventFromATransactionToItsHandler(t *testing.T) {
	name := testenv.Unique(t, "parley_service")
	rabbit := URL(testenv.RabbitMQ(t))
	for _, servers := range []struct {
		name             string
		database, broker URL
	}{
		{"memory", "memory:", "memory:"},
		{"SQLite", URL("sqlite:" + filepath.Join(t.TempDir(), "test.db")), "memory:"},
		{"MariaDB", mysqlURL(t, testenv.MariaDB(t)), "memory:"},
		{"PostgreSQL and RabbitMQ", URL(testenv.Postgres(t)), rabbit},
	} {
		t.Run(servers.name, func(t *testing.T) {
			aggregate := name + "_" + strings.ToLower(strings.Fields(servers.name)[0])
			settings := &Settings{
				AppID: "test", Queue: aggregate, Exchanges: []Exchange{{Name: aggregate}}, Binds: []Bind{{Exchange: aggregate}},
				Broker: BrokerSettings{URL: servers.broker}, Database: DatabaseSettings{URL: servers.database, Migrate: true},
			}
			if servers.broker == rabbit {
				cleanUp(t, aggregate)
			}
			moveOne(t, settings, aggregate)
		})
	}
}

// mysqlURL turns the driver's address into a URL.
func mysqlURL(t *testing.T, dsn string) URL {
	t.Helper()
	c, err := driver.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "mysql", User: url.UserPassword(c.User, c.Passwd), Host: c.Addr, Path: "/" + c.DBName}
	return URL(u.String())
}

func TestMySQLURLsKeepPasswordAndParameters(t *testing.T) {
	dsn, err := mysqlDSN("mysql://us%40er:p%3A%2F%40ss@h/db?timeout=3s")
	if err != nil {
		t.Fatal(err)
	}
	c, err := driver.ParseDSN(dsn)
	if err != nil || c.User != "us@er" || c.Passwd != "p:/@ss" || c.Addr != "h:3306" || c.DBName != "db" || c.Timeout != 3*time.Second {
		t.Errorf("%+v, %v: not what the URL says", c, err)
	}
}

// moveOne runs the service; a handler publishes what another one gets.
func moveOne(t *testing.T, settings *Settings, aggregate string) {
	var log syncBuffer
	s, err := Open(settings, &Config{LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	first, second := parley.NewEvent[user](aggregate, "first"), parley.NewEvent[user](aggregate, "second")
	got := make(chan parley.Event[user], 8)
	parley.OnTx(s.Router, s.Inbox, first, func(ctx context.Context, tx *Tx, e parley.Event[user]) error {
		_, err := parley.Publish(ctx, s.Outbox.In(tx), second, e.Payload)
		return err
	})
	parley.On(s.Router, second, func(_ context.Context, e parley.Event[user]) error {
		got <- e
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, PartRelay|PartConsumer) }()
	publishWhenReady(ctx, t, s, first)
	select {
	case e := <-got:
		if e.Payload.ID != 7 || e.Delivery.AppID != "test" {
			t.Errorf("got %+v of %q, want user 7 of \"test\"", e.Payload, e.Delivery.AppID)
		}
	case <-time.After(patience):
		t.Errorf("nothing arrived in %v\n%s", patience, &log)
	}
	cancel()
	if err := errors.Join(<-done, s.Close(context.Background())); err != nil {
		t.Errorf("the service did not end cleanly: %v\n%s", err, &log)
	}
}

// publishWhenReady publishes once the tables are there and the queue is bound: what is sent
// before is for nobody.
func publishWhenReady(ctx context.Context, t *testing.T, s *Service, e *parley.EventType[user]) {
	t.Helper()
	if err := s.Broker.Declare(ctx, s.Settings.topology()); err != nil {
		t.Error(err)
	}
	await(t, "the tables are made", func() error {
		return s.InTx(ctx, func(tx *Tx) error {
			_, err := parley.Publish(ctx, s.Outbox.In(tx), e, user{7})
			return err
		})
	})
}

func TestEventsThatWaitedInTheOutboxAreNotSentBeforeTheQueueIsThere(t *testing.T) {
	file := URL("sqlite:" + filepath.Join(t.TempDir(), "test.db"))
	settings := &Settings{
		Queue: "q", Exchanges: []Exchange{{Name: "user"}}, Binds: []Bind{{Exchange: "user"}},
		Broker: BrokerSettings{URL: "memory:"}, Database: DatabaseSettings{URL: file},
	}
	waiting := openFlag(t, "--database-url="+string(file))
	if err := waiting.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id := range int64(20) {
		publish(t, waiting, renamed, id)
		serve(t, settings, 1, func(s *Service, done func()) {
			parley.On(s.Router, renamed, func(_ context.Context, e parley.Event[user]) error {
				done()
				return nil
			})
		}, func(context.Context, *Service) error { return nil })
	}
}

func TestATransactionThatFailsPublishesNothing(t *testing.T) {
	s := openFlag(t, sqliteURL(t))
	fails := errors.New("business says no")
	err := s.InTx(t.Context(), func(tx *Tx) error {
		_, err := parley.Publish(t.Context(), s.Outbox.In(tx), renamed, user{1})
		return errors.Join(err, fails)
	})
	if !errors.Is(err, fails) {
		t.Errorf("error is %v, want %v", err, fails)
	}
	if st, err := s.db.Stats(t.Context()); err != nil || st.Due != 0 {
		t.Errorf("%d due, %v; want none", st.Due, err)
	}
}

func TestHealthAndReadinessTellTheTruth(t *testing.T) {
	var log syncBuffer
	s, err := Open(&Settings{
		Queue: "q", Broker: BrokerSettings{URL: "memory:"}, Database: DatabaseSettings{URL: "memory:"}, HTTP: HTTPSettings{Address: "127.0.0.1:0", Metrics: true},
	}, &Config{LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	s.Router.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, PartRelay|PartConsumer) }()
	var address string
	await(t, "the service tells its address", func() error {
		_, after, ok := strings.Cut(log.String(), "address=")
		address, _, _ = strings.Cut(after, "\n")
		if !ok || !strings.HasPrefix(address, "127.0.0.1:") {
			return errors.New(log.String())
		}
		return nil
	})
	await(t, "the service is ready", func() error {
		return readiness(address, http.StatusOK, `"consumer":"ok"`, `"relay":"ok"`, `"database":"ok"`)
	})
	publish(t, s, renamed, 1)
	await(t, "the metrics count the event", func() error {
		return fetch("http://"+address+"/metrics", http.StatusOK, "parley_relay_returned_total 1", `parley_outbox_due{outbox="outbox"} 0`, `parley_consumer_subscribed{queue="q"} 1`)
	})
	if err := s.broker.Close(ctx); err != nil {
		t.Error(err)
	}
	await(t, "the service notices that its broker is gone", func() error {
		return readiness(address, http.StatusServiceUnavailable, `"consumer":"not subscribed"`)
	})
	cancel()
	if err := errors.Join(<-done, s.Close(context.Background())); err != nil {
		t.Error(err)
	}
}

func readiness(address string, code int, words ...string) error {
	return fetch("http://"+address+"/readyz", code, words...)
}

// fetch makes sure of the status and of words in the body.
func fetch(url string, code int, words ...string) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != code {
		return fmt.Errorf("status %d with %s, want %d", resp.StatusCode, body, code)
	}
	for _, w := range words {
		if !strings.Contains(string(body), w) {
			return fmt.Errorf("the answer lacks %s: %s", w, body)
		}
	}
	return nil
}

// await polls until check returns nil.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestRoutesShowsWhichBindingFeedsWhat(t *testing.T) {
	register := func(s *Service) error {
		s.Router.HandleFunc("user", "event.*", func(context.Context, *parley.Delivery) error { return nil })
		s.Router.HandleFunc("user", "other", func(context.Context, *parley.Delivery) error { return nil })
		return nil
	}
	code, out, errs := callWith(t, register, nil, "routes", "--queue=q", "--binds=user:event.#,audit")
	if code != ExitOK {
		t.Fatal(code, errs)
	}
	wantText(t, out, "event.*", "user:event.#", "run_test.go:", "no binding of the settings")
}

func TestAServiceWithNothingToRunSaysSo(t *testing.T) {
	code, _, errs := callWith(t, func(*Service) error { return nil }, nil, "run", "--broker-url=memory:")
	if code != ExitUsage {
		t.Errorf("exit code %d, want %d", code, ExitUsage)
	}
	wantText(t, errs, "no handler is registered", "database.url: is missing")
}

func TestOverlapFindsPatternsThatShareAKey(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"#", "", true}, {"#", "a.b", true}, {"a.*", "a.b", true}, {"a.*", "*.b", true}, {"a.*", "a", false},
		{"a.#", "a", true}, {"a.#.z", "*.b.c.z", true}, {"a.#.z", "b.#", false}, {"*.*", "#.x", true}, {"*", "a.#.b", false},
	} {
		if got := overlap(tt.a, tt.b); got != tt.want {
			t.Errorf("overlap(%q, %q) is %t, want %t", tt.a, tt.b, got, tt.want)
		}
		if got := overlap(tt.b, tt.a); got != tt.want {
			t.Errorf("overlap(%q, %q) is %t, want %t", tt.b, tt.a, got, tt.want)
		}
	}
}

func TestAServiceWaitsForADatabaseThatIsAwayAndStopsAllTheSame(t *testing.T) {
	var log syncBuffer
	s, err := Open(&Settings{
		Broker:   BrokerSettings{URL: "memory:"},
		Database: DatabaseSettings{URL: "postgres://nobody:cAnArY@127.0.0.1:1/x?connect_timeout=1", Migrate: true},
	}, &Config{LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, PartRelay) }()
	await(t, "the service tells that it waits", func() error {
		if !strings.Contains(log.String(), "does not answer") {
			return errors.New("nothing is logged")
		}
		return nil
	})
	cancel()
	if err := errors.Join(<-done, s.Close(context.Background())); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "cAnArY") {
		t.Errorf("the log shows the password:\n%s", &log)
	}
}
