package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
)

var update = flag.Bool("update", false, "write the session into docs/operations.md")

const (
	operations   = "../../docs/operations.md"
	sessionStart = "### A session\n"
)

// The session in docs/operations.md is the output of these commands. After a change: go test ./service/command -run Session -update
func TestTheSessionInTheDocumentationIsReal(t *testing.T) {
	text, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), sessionStart)
	_, block, opened := strings.Cut(rest, "```console\n")
	old, after, closed := strings.Cut(block, "```\n")
	if !found || !opened || !closed {
		t.Fatalf("%s has no block of console below %q", operations, sessionStart)
	}
	got := session(t)
	if got == old {
		return
	}
	if !*update {
		t.Fatalf("the session in %s is stale (run: go test ./service/command -run Session -update). It has\n%s\nwant\n%s", operations, old, got)
	}
	intro, _, _ := strings.Cut(rest, "```console\n")
	if err := os.WriteFile(operations, []byte(before+sessionStart+intro+"```console\n"+got+"```\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// session runs the commands on a service with some trouble, and returns what the operator types and sees.
func session(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PARLEY_SETTINGS", servicetest.WriteFile(t, "parley.yaml", `app_id: shop
database: {url: "sqlite:`+filepath.Join(dir, "shop.db")+`"}
exchanges: [order, {name: audit, type: fanout}]
queues:
  orders: {binds: [[order, "paid.*"]]}
  mail: {binds: [order, audit]}
`))
	t.Setenv("NO_COLOR", "1")
	t.Setenv("EDITOR", `sed -i 's/"cents": -5/"cents": 500/'`)
	broker := memory.NewBroker(nil)
	a := &app{broker: broker, register: registerShop}
	run := func(line string) string {
		root := a.service("parley")
		s := openScreen(t)
		_, shown := s.callRoot(t, root, "y\n", strings.Fields(line)[1:]...)
		return "$ " + line + "\n" + strings.ReplaceAll(shown, "\r\n", "\n") + "\n"
	}
	run("parley migrate up")
	trouble(t, a, broker)
	var b strings.Builder
	for _, line := range []string{"parley status", "parley parked ls -o wide", "parley parked edit c1", "parley parked replay c1", "parley routes -o mermaid"} {
		b.WriteString(run(line))
	}
	return stable(strings.TrimSuffix(b.String(), "\n"))
}

// registerShop registers the handlers of the session.
func registerShop(s *service.Service) error {
	handler := parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil })
	s.Queue("orders").Router.Handle("order", "paid.*", handler)
	s.Queue("mail").Router.Handle("order", "#", handler)
	s.Queue("mail").Router.Handle("user", "renamed", handler)
	return nil
}

// trouble stores a parked and an overdue delivery, a scheduled event, and messages in a queue without consumers.
func trouble(t *testing.T, a *app, broker *memory.Broker) {
	t.Helper()
	root := a.service("parley")
	root.SetContext(t.Context())
	err := a.with(root, nil, func(ctx context.Context, s *service.Service) error {
		if err := errors.Join(a.register(s), s.Broker.Declare(ctx, s.Topology())); err != nil {
			return err
		}
		history := parley.History{Attempts: 4, FirstError: "amount: -5 cents", LastError: "amount: -5 cents", Reason: "amount: -5 cents", LastFailure: time.Now()}
		message := func(n int, cents int) parley.Message {
			return parley.Message{Exchange: "order", RoutingKey: "paid.card", Kind: parley.KindEvent, ID: fmt.Sprintf("event-%d", n),
				Body: fmt.Appendf(nil, `{"eventId": %d, "eventType": "paid.card", "payload": {"order": 17, "cents": %d, "currency": "EUR"}}`, n, cents)}
		}
		waiting := parley.History{Attempts: 1, LastError: "database: connection refused", LastFailure: time.Now()}
		_, err := s.Database().Failures().Keep(ctx, "orders", []parley.Failure{
			{State: parley.FailureParked, Message: message(41, -5), History: history, Key: "17", Fingerprint: strings.Repeat("3f", 16)},
			{State: parley.FailureWaiting, Message: message(42, 900), History: waiting, After: -2 * time.Minute},
		})
		if err != nil {
			return err
		}
		if _, err := s.DB().ExecContext(ctx, "UPDATE parley_failed SET parked_at = parked_at - 7200000000 WHERE state = 'parked'"); err != nil {
			return err
		}
		for _, err := range broker.Publish(ctx, []parley.Message{message(43, 1), message(44, 2)}) {
			if err != nil {
				return err
			}
		}
		publish(t, s, remind, 1, parley.WithDueAt(time.Now().Add(time.Hour)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stable replaces what differs between two runs.
func stable(text string) string {
	for pattern, with := range map[string]string{
		`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`:       "2026-11-29T10:15:00Z",
		`[^ <>"]*session_linux_test\.go:(\d\d)`: "main.go:$1",
		`(2m|2h0m)\ds`:                          "${1}0s",
		`(?m) +$`:                               "",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	return text
}
