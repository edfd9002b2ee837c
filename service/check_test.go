package service

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

// checked returns the settings of a file, and the mistakes that the command settings check reports.
func checked(t *testing.T, text string) (*settings.Settings, error) {
	t.Helper()
	s, err := settings.Load(&settings.LoadOptions{File: servicetest.WriteFile(t, "parley.yaml", text), Environ: []string{}})
	if err == nil {
		err = CheckDatabase(s)
	}
	return s, err
}

// openAll opens what the settings describe: database, broker, consumers and the address of health checks.
func openAll(s *settings.Settings) error {
	svc, err := Open(s, &Config{LogOutput: io.Discard})
	if err != nil {
		return err
	}
	var errs []error
	for _, q := range svc.Queues() {
		parley.On(q.Router, renamed, func(context.Context, parley.Event[user]) error { return nil })
		_, err := q.Consumer()
		errs = append(errs, err)
	}
	if s.HTTP.Address != "" {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // so that it listens, and stops
		errs = append(errs, (&health{service: svc}).Run(ctx))
	}
	return errors.Join(append(errs, svc.Close(context.Background()))...)
}

func TestWhatTheCheckAcceptsCanBeOpened(t *testing.T) {
	t.Chdir(t.TempDir()) // for SQLite files
	const queue = "broker: {url: 'memory:'}\nqueue: q\n"
	for text, want := range map[string]string{
		"database: {url: 'sqlite:x.db', schema: foo}":                                               "database.schema: is supported on PostgreSQL only",
		"database: {url: 'memory:', schema: foo}":                                                   "database.schema: is supported on PostgreSQL only",
		"database: {url: 'mysql://h/d', schema: foo}":                                               "database.schema: is supported on PostgreSQL only",
		"database: {url: 'postgres://h/d', schema: foo}":                                            "",
		"database: {url: 'postgres://h/d', schema: 'a b'}":                                          "database.schema",
		"database: {url: 'sqlite:x.db', table: typo}":                                               `database.table: "typo" is not known`,
		"database: {url: 'sqlite:x.db', table: parley_outbox}":                                      "",
		"database: {url: 'sqlite:x.db', table: " + DjangoTable + "}":                                "",
		"database: {url: 'memory:', table: " + DjangoTable + "}":                                    "database.table: is not supported by a database in memory",
		"database: {url: 'sqlite:x.db'}\nconsumer: {failures: {table: 'a b'}}":                      "consumer.failures.table",
		"database: {url: 'mysql://h/d'}\nconsumer: {failures: {table: 'parley_log'}}":               "consumer.failures.table",
		"database: {url: 'postgres://h/d'}\nconsumer: {failures: {table: 'parley_log'}}":            "consumer.failures.table",
		"database: {url: 'postgres://h/d'}\nconsumer: {failures: {table: 'a$b'}}":                   "",
		"database: {url: 'sqlite:x.db'}\nconsumer: {failures: {table: failed}}":                     "",
		"http: {address: '8080'}":                                                                   "http.address: is not host:port",
		"http: {address: '127.0.0.1:99999'}":                                                        "http.address: is not host:port",
		"http: {address: '127.0.0.1:0'}":                                                            "",
		queue + "consumer: {retry_delays: [1500ms]}":                                                "consumer.retry_delays: item 1: must be in whole seconds",
		queue + "consumer: {immediate_retries: [1s, 0s]}":                                           "consumer.immediate_retries: item 2: must be 1ms to 1m",
		"broker: {url: 'memory:'}\nqueues: {q: {retry_delays: [1s, 1500ms]}}":                       "q.retry_delays: item 2: must be in whole seconds",
		queue + "consumer: {immediate_retries: [" + strings.Repeat("1m, ", 20) + "1s]}":             "consumer.immediate_retries: takes 20m1s together, the limit is 20m0s",
		queue + "consumer: {retry_delays: [1s, 90s], immediate_retries: [1ms]}":                     "",
		"broker: {url: 'memory:'}\nqueues: {q: {retry_delays: [1s, 1m30s], immediate_retries: []}}": "",
	} {
		s, err := checked(t, text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v, want no mistake", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: the check reports %v, want %q", text, err, want)
		}
		if err != nil {
			continue
		}
		if err := openAll(s); err != nil {
			t.Errorf("%s: the check accepts what cannot be opened: %v", text, err)
		}
	}
}

func TestDelaysOfAProgramAreCheckedAsThoseOfAFile(t *testing.T) {
	for name, s := range map[string]settings.Settings{
		"consumer.retry_delays": {Consumer: settings.Consumer{RetryDelays: []time.Duration{1500 * time.Millisecond}}},
		"q.immediate_retries":   {Queues: []settings.Queue{{Name: "q", ImmediateRetries: []time.Duration{0}}}},
	} {
		if err := s.Complete(); err == nil || !strings.Contains(err.Error(), name+": item 1: must be") {
			t.Errorf("%s: %v, want a mistake", name, err)
		}
	}
}
