package console

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a service in memory with a console on it.
type world struct {
	t       testing.TB
	store   *memory.Store
	broker  *memory.Broker
	console *Console
	server  *httptest.Server
	client  *http.Client
	user    User // the user of all requests
	log     *logBuffer
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld returns a service called orders. change may alter source and options.
func newWorld(t testing.TB, change func(*Source, *Options)) *world {
	t.Helper()
	w := &world{t: t, store: memory.NewStore(), broker: memory.NewBroker(nil), user: User{"ada", RoleAll}, log: &logBuffer{}}
	s := Source{
		Name: "orders", ParkedRecords: w.store, Failures: w.store.Failures(), Broker: w.broker, Schedule: ScheduleOf(w.store, w.store.InTx),
		Status:   w.status,
		Topology: w.topology,
		Settings: func() []Setting { return []Setting{{"broker.url", "amqp://guest:xxxxx@127.0.0.1", "file"}} },
		Doctor: func(context.Context) []parley.Finding {
			return []parley.Finding{{Level: parley.FindingFine, Name: "clock", Detail: "in step"}}
		},
	}
	o := Options{Write: true, Logger: slog.New(slog.NewTextHandler(w.log, nil)), Authorize: func(*http.Request) (User, error) { return w.user, nil }}
	if change != nil {
		change(&s, &o)
	}
	c, err := New([]Source{s}, o)
	if err != nil {
		t.Fatal(err)
	}
	w.console = c
	w.server = httptest.NewServer(c)
	t.Cleanup(w.server.Close)
	w.client = w.server.Client()
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return w
}

func (w *world) status(ctx context.Context) (*Status, error) {
	st, err := w.store.Stats(ctx)
	return &Status{At: time.Now(), Relay: &RelayStatus{Due: Count{N: st.Due}, Scheduled: Count{N: st.Scheduled}}, Parked: []ParkedStatus{{Place: "outbox", Count: Count{N: st.Parked}}}}, err
}

func (w *world) topology(context.Context) (*Topology, error) {
	return &Topology{
		Bindings: []parley.Binding{{Exchange: "user", Queue: "orders", RoutingKey: "#"}},
		Queues:   []QueueStatus{{Name: "orders", Role: "queue", Messages: 2}},
		Routes:   []Route{{Queue: "orders", Exchange: "user", Pattern: "#", Handler: "main.go:12"}},
	}, nil
}

// park keeps a failed delivery and returns its id.
func (w *world) park(f parley.Failure) string {
	w.t.Helper()
	if f.State == "" {
		f.State = parley.FailureParked
	}
	f.Identity = parley.Identity(&f.Message)
	kept, err := w.store.Failures().Keep(w.t.Context(), "orders", []parley.Failure{f})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("c%d", kept[0].ID)
}

// parked parks an event and returns its id.
func (w *world) parked(body string) string {
	return w.park(parley.Failure{
		Message: parley.Message{Exchange: "user", RoutingKey: "renamed", Kind: parley.KindEvent, ID: "user/7", Body: []byte(body), Headers: map[string]any{"h": "v"}},
		History: parley.History{Attempts: 3, Reason: "retries used up", LastError: "no such user", LastFailure: time.Now()},
	})
}

// schedule schedules an event in an hour, with a tag.
func (w *world) schedule(user string) {
	w.t.Helper()
	outbox, err := parley.NewOutbox(w.store, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.store.InTx(w.t.Context(), func(tx *memory.Tx) error {
		_, err := parley.Publish(w.t.Context(), outbox.In(tx), remind, payload{user}, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(parley.Tags{"user": user}))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

type payload struct {
	Name string `json:"name"`
}

var remind = parley.NewEvent[payload]("user", "remind")

// A page is an answer.
type page struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(r *http.Request) page {
	w.t.Helper()
	answer, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return page{answer.StatusCode, answer.Header, string(body)}
}

func (w *world) request(method, path string, form url.Values) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

func (w *world) get(path string) page {
	w.t.Helper()
	return w.do(w.request(http.MethodGet, path, nil))
}

func (w *world) post(path string, form url.Values) page {
	w.t.Helper()
	return w.do(w.request(http.MethodPost, path, form))
}

// must fails the test unless the page has the status.
func (p page) must(t testing.TB, status int) page {
	t.Helper()
	if p.status != status {
		t.Fatalf("status %d, want %d:\n%s", p.status, status, p.body)
	}
	return p
}

// has fails the test unless the page contains all texts.
func (p page) has(t testing.TB, texts ...string) page {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.body, text) {
			_, main, _ := strings.Cut(p.body, "<main")
			t.Errorf("the page has no %q:\n%s", text, main)
		}
	}
	return p
}

var fields = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// form returns the hidden fields of a page, as a browser would send them.
func (p page) form() url.Values {
	out := url.Values{}
	for _, m := range fields.FindAllStringSubmatch(p.body, -1) {
		if m[1] == "ids" { // one field for each message
			out.Add(m[1], unescape(m[2]))
			continue
		}
		out.Set(m[1], unescape(m[2]))
	}
	return out
}

// row returns a row of the table of failed deliveries.
func (w *world) row(id string) (parley.FailureRow, error) {
	return w.store.Failures().Get(w.t.Context(), numberOf('c', id))
}

// local returns a request that came to an address.
func local(r *http.Request, ip string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.ParseIP(ip), Port: 8080})))
}
