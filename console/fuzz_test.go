package console

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// hostile are texts that have broken other dashboards.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' autofocus onfocus='alert(1)`, `javascript:alert(1)`, `</textarea><script>alert(1)</script>`, `</pre></main><form action=//evil.example>`,
	`{{.}}{{template "x"}}`, "\x00\x1b[2J\u202e", `../../static/x`, `%2e%2e%2f?a=b#c`, "a\r\nSet-Cookie: x=1", `</title><base href=//evil.example>`, `]]><svg onload=alert(1)>`, "\xff\xfe", `//evil.example`, "\n\n</textarea>",
}

// fuzzed is a Failures with one row, and every other place, filled with given texts.
type fuzzed struct {
	parley.FailureOperator
	row parley.FailureRow
}

func (f fuzzed) List(_ context.Context, _ parley.FailureQuery, after int64, _ int) ([]parley.FailureRow, error) {
	if after >= f.row.ID {
		return nil, nil
	}
	return []parley.FailureRow{f.row}, nil
}

func (f fuzzed) Get(context.Context, int64) (parley.FailureRow, error) { return f.row, nil }
func (f fuzzed) Consumers(context.Context) ([]string, error)           { return []string{f.row.Consumer}, nil }

func (f fuzzed) Scheduled(context.Context, parley.Selection, int) ([]parley.Record, error) {
	return []parley.Record{{Message: f.row.Message, ID: 1, DueAt: time.Now(), Tags: map[string]string{f.row.Message.RoutingKey: f.row.Key}}}, nil
}

func (f fuzzed) Change(context.Context, parley.Selection, time.Time, int, func([]parley.Record) error) (int, error) {
	return 0, parley.ErrRunning
}

func (f fuzzed) FailureGroups(context.Context, string, int) ([]parley.FailureGroup, error) {
	m := &f.row.Message
	return []parley.FailureGroup{{Consumer: f.row.Consumer, Fingerprint: f.row.Fingerprint, Exchange: m.Exchange, RoutingKey: m.RoutingKey, Error: f.row.History.Reason, Count: 1}}, nil
}

func (f fuzzed) Actions(context.Context, parley.ActionQuery) ([]parley.Action, error) {
	return []parley.Action{{By: f.row.Key, Name: f.row.Consumer, Filter: f.row.History.Reason, Reason: string(f.row.Message.Body), Detail: f.row.Key, State: f.row.Key}}, nil
}

func (f fuzzed) LogAction(context.Context, parley.Action) (int64, error)       { return 1, nil }
func (f fuzzed) UpdateAction(context.Context, parley.Action) error             { return nil }
func (f fuzzed) SweepActions(context.Context, time.Duration, int) (int, error) { return 0, nil }
func (f fuzzed) SetPause(_ context.Context, p parley.Pause, _ time.Duration) (parley.Pause, error) {
	return p, nil
}
func (f fuzzed) EndPause(_ context.Context, p parley.Pause) (parley.Pause, error) { return p, nil }

func (f fuzzed) Pauses(context.Context) ([]parley.Pause, error) {
	return []parley.Pause{{Part: parley.PausePart(f.row.Consumer), Exchange: f.row.Message.Exchange, By: f.row.Key, Reason: f.row.History.Reason}}, nil
}

func (f fuzzed) Due(context.Context, int) ([]parley.Record, error) {
	return []parley.Record{{Message: f.row.Message, ID: 1}}, nil
}

func fuzzedConsole(t *testing.T, body, key, text, id string) *Console {
	t.Helper()
	m := parley.Message{Exchange: key, RoutingKey: key, Kind: parley.Kind(key), ID: id, AppID: text, CorrelationID: id, Body: []byte(body), Headers: map[string]any{key: text, "x": []any{body}}}
	f := fuzzed{row: parley.FailureRow{
		ID: 1, Consumer: key, State: parley.FailureParked, Key: id, ClaimedBy: text, Fingerprint: key, Size: len(body), Message: m,
		History: parley.History{Reason: text, FirstError: text, LastError: text, Attempts: 1},
	}}
	s := Source{
		Name: "orders", Failures: f, Schedule: f, Outbox: f, ParkedRecords: memory.NewStore(), Broker: memory.NewBroker(nil), Command: "parley", ParkedQueues: []ParkedQueue{{Queue: key}},
		Status: func(context.Context) (*Status, error) {
			return &Status{
				Relay: &RelayStatus{Leader: text}, Queues: []QueueStatus{{Name: key}}, Retries: []RetryStatus{{Consumer: key}}, Parked: []ParkedStatus{{Place: "consumer", Name: key}, {Place: "queue", Name: id}},
				Process: map[string]string{key: text}, Errors: []LastError{{ID: id, Route: key, Text: text, State: key}}, Problems: []string{text}, Unknown: []string{text},
			}, nil
		},
		Topology: func(context.Context) (*Topology, error) {
			return &Topology{Bindings: []parley.Binding{{Exchange: key, Queue: id, RoutingKey: text}}, Queues: []QueueStatus{{Name: id, Role: "queue"}}, Routes: []Route{{Queue: id, Exchange: key, Pattern: text, Handler: body, Problem: text}}, Notes: []string{text}}, nil
		},
		Settings: func() []Setting { return []Setting{{key, text, id}} },
		Doctor: func(context.Context) []parley.Finding {
			return []parley.Finding{{Level: parley.FindingLevel(key), Name: key, Detail: text, Hint: body}}
		},
		Actions: f, Groups: f, Control: f,
	}
	c, err := New([]Source{s}, Options{Write: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Authorize: func(*http.Request) (User, error) { return User{id + "x", RoleAll}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// FuzzNoTextOfOthersBecomesMarkup puts one text into each field that comes from others, reads each page, and parses it: an element or
// an attribute that no template has, or an address of another site, is a failure.
func FuzzNoTextOfOthersBecomesMarkup(f *testing.F) {
	for _, h := range hostile {
		f.Add(h, h, h, h)
		f.Add(`{"a": "`+strings.ReplaceAll(h, `"`, `\"`)+`"}`, "user", h, "1")
	}
	f.Fuzz(func(t *testing.T, body, key, text, id string) {
		c := fuzzedConsole(t, body, key, text, id)
		visit := func(method, path string, form url.Values) {
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
			if method == http.MethodPost {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			out := httptest.NewRecorder()
			c.ServeHTTP(out, r)
			if out.Code >= 300 && out.Code < 400 {
				return // net/http writes the page of a redirect
			}
			problems := slices.DeleteFunc(inspect(out.Body.String()), func(p string) bool { return strings.HasSuffix(p, "has no text") }) // a text may be blank
			if len(problems) > 0 {
				t.Errorf("%s %s: %s", method, path, strings.Join(problems, "; "))
			}
			if out.Header().Get("Set-Cookie") != "" || out.Header().Get("Content-Security-Policy") != policy {
				t.Errorf("%s %s: the header was changed", method, path)
			}
		}
		hidden := url.Values{"place": {"c"}, "exchange": {key}, "routing_key": {key}, "reason": {text}, "consumer": {key}, "group": {id}, "after": {id}, "tags": {id}, "to": {text}, "body": {body}, "rate": {text}, "id": {"c1"}, "ids": {id}, "hash": {id}, "action": {"replay"}}
		visit(http.MethodPost, "/s/orders/doctor", nil)
		for _, path := range pages {
			if !strings.Contains(path, "?") {
				visit(http.MethodGet, path, nil)
				visit(http.MethodGet, path+"?"+url.Values{"id": {id}, "exchange": {key}, "routing_key": {text}, "pattern": {text}, "place": {key}, "reason": {text}, "tags": {id}}.Encode(), nil)
			}
		}
		visit(http.MethodGet, "/m/"+url.PathEscape(id), nil)
		visit(http.MethodGet, "/s/orders/parked/"+url.PathEscape(id), nil)
		visit(http.MethodGet, "/s/"+url.PathEscape(key)+"/parked", nil)
		for _, path := range changes {
			if !strings.HasSuffix(path, "look") {
				visit(http.MethodPost, path, hidden)
			}
		}
		hidden.Set("action", "drop")
		hidden.Del("exchange")
		hidden.Del("routing_key")
		hidden.Del("reason")
		hidden.Del("consumer")
		visit(http.MethodPost, "/s/orders/parked/preview", hidden)
	})
}

// FuzzPasswordFile reads files: none may panic, and none that is accepted has an account without a full hash.
func FuzzPasswordFile(f *testing.F) {
	line, err := passwordLine("ada", "all", "correct horse", leastIterations)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add("# comment\n" + line + "\nbob:reader:pbkdf2-sha256$20000$AAAAAAAAAAA$")
	f.Add("a:b:c\n:::")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadPasswords(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, a := range p.accounts {
			if name == "" || len(a.hash) != 32 || len(a.salt) < 8 || a.iterations < leastIterations {
				t.Errorf("account %q is accepted: %+v", name, a)
			}
		}
	})
}

// FuzzADifferenceKeepsBothTexts compares texts: the lines of each side must be there, in their order, unless equal ones are left out.
func FuzzADifferenceKeepsBothTexts(f *testing.F) {
	f.Add("a\nb\nc", "a\nc")
	f.Add("", "x")
	f.Fuzz(func(t *testing.T, before, after string) {
		if len(before)+len(after) > 4000 {
			return
		}
		minus, plus := 0, 0
		for _, l := range diff(before, after) {
			switch l.Mark {
			case "-":
				minus++
			case "+":
				plus++
			}
		}
		if grown := strings.Count(after, "\n") - strings.Count(before, "\n"); plus-minus != grown || before != after && plus+minus == 0 {
			t.Errorf("%d lines added and %d removed, want a difference of %d", plus, minus, grown)
		}
	})
}
