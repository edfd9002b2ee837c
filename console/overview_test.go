package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
)

func TestAStatusHasOneVerdict(t *testing.T) {
	for want, st := range map[string]*Status{
		"healthy": {}, "unhealthy": {Problems: []string{"p"}, Unknown: []string{"u"}}, "unknown": {Unknown: []string{"u"}},
	} {
		if got := st.Verdict(); got != want {
			t.Errorf("%+v is %s, want %s", st, got, want)
		}
	}
	if got := (Count{10000, true}).String(); got != "10000 or more" {
		t.Error(got)
	}
}

func TestManyViewersCostOneReadOfTheStatus(t *testing.T) {
	var reads atomic.Int32
	w := newWorld(t, func(s *Source, _ *Options) {
		s.Status = func(context.Context) (*Status, error) { reads.Add(1); return &Status{}, nil }
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { w.get("/") })
	}
	wg.Wait()
	if n := reads.Load(); n != 1 {
		t.Errorf("20 viewers made %d reads, want 1", n)
	}
}

func TestAStatusThatCannotBeReadIsShownWithoutItsSecret(t *testing.T) {
	fails := errors.New("dial postgres://parley:hunter2@db: refused")
	w := newWorld(t, func(s *Source, _ *Options) {
		s.Status = func(context.Context) (*Status, error) { return nil, fails }
		s.Topology = func(context.Context) (*Topology, error) { return nil, fails }
		s.Redact = func(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "hunter2", "xxxxx")) }
	})
	for path, status := range map[string]int{"/": 200, "/s/orders/queues": 503} {
		p := w.get(path).must(t, status).has(t, "refused")
		if strings.Contains(p.body, "hunter2") || strings.Contains(w.log.String(), "hunter2") {
			t.Errorf("%s shows the password", path)
		}
	}
}

func TestSeveralServicesAreOnOnePage(t *testing.T) {
	healthy := func(context.Context) (*Status, error) { return &Status{}, nil }
	c, err := New([]Source{{Name: "orders", Status: healthy}, {Name: "users"}}, Options{Prefix: "/ops/parley", Authorize: func(*http.Request) (User, error) { return User{"ada", RoleAll}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/ops/parley/", c)
	mux.Handle("/ops/parley", c)
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { t.Error("the request left the prefix") })
	w.server.Config.Handler = mux
	w.get("/ops/parley/").must(t, http.StatusOK).has(t, "orders", "users", `href="/ops/parley/s/users/parked"`, `src="/ops/parley/static/console.js?v=`)
	if p := w.get("/ops/parley"); p.status != http.StatusSeeOther || p.header.Get("Location") != "/ops/parley/" {
		t.Errorf("the prefix alone: status %d to %q", p.status, p.header.Get("Location"))
	}
	for _, screen := range screens {
		p := w.get("/ops/parley/s/users/"+screen.Name).must(t, http.StatusOK).has(t, `class="empty"`, "users") // a source without anything
		if problems := inspect(p.body); len(problems) > 0 {
			t.Errorf("%s: %v", screen.Name, problems)
		}
	}
}

func TestMistakesInSourcesAndOptionsAreReportedTogether(t *testing.T) {
	_, err := New([]Source{{Name: "a"}, {Name: "a"}, {Name: "a/b"}, {}}, Options{Prefix: "parley/", TrustedOrigins: []string{"example"}})
	for _, want := range []string{`two sources have the name "a"`, `"a/b"`, `""`, "Options.Prefix", "Options.TrustedOrigins"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v does not mention %s", err, want)
		}
	}
	if _, err := New(nil, Options{}); err == nil {
		t.Error("a console without a source is accepted")
	}
}

func TestTheGraphsShowTheLastHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		c, err := New([]Source{{Name: "orders", Sample: func(context.Context) (Sample, error) {
			got := n.Add(1)
			if got%10 == 0 {
				return Sample{}, errors.New("unreachable")
			}
			return Sample{Published: got * 50, Handled: -1, Failed: -1, Lag: time.Duration(got) * time.Millisecond}, nil
		}}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(2 * time.Hour)
		s := c.sources[0]
		if got := len(s.samples.last(time.Now().Add(-time.Hour))); got < 320 || got > sampleCount {
			t.Errorf("%d samples are kept", got)
		}
		chart, ok := s.throughput(time.Now())
		if !ok || len(chart.Lines) != 1 || chart.Lines[0].Name != "published" || chart.Top != "5/s" {
			t.Errorf("the throughput is %+v, want one line of 5/s", chart)
		}
		if chart, ok = s.lag(time.Now()); !ok || !strings.HasPrefix(chart.Top, "7") || len(chart.Marks) != 5 {
			t.Errorf("the lag is %+v", chart)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTheLagOfEachExchangeIsDrawnTheLongestFirst(t *testing.T) {
	now := time.Now()
	s := &source{}
	s.samples.add(now.Add(-30*time.Second), Sample{}) // not known
	s.samples.add(now.Add(-20*time.Second), Sample{Lags: map[string]time.Duration{"user": 2 * time.Second, "mail": 0}})
	s.samples.add(now.Add(-10*time.Second), Sample{Lags: map[string]time.Duration{"user": time.Second, "shop": 90 * time.Second}})
	c, ok := s.lagByExchange(now)
	if !ok || len(c.Lines) != 3 || c.Lines[0].Name != "shop" || c.Lines[2].Name != "mail" || c.Top != "1m30s" {
		t.Fatalf("the graph is %+v", c)
	}
	if want := "Latest: shop 1m30s, user 1s, mail 0s."; c.Latest != want {
		t.Errorf("the sentence is %q, want %q", c.Latest, want)
	}
	if got := strings.Fields(c.Lines[1].Points[0]); len(got) != 2 {
		t.Errorf("user has the points %q, want one for each known sample", got)
	}
	many := map[string]time.Duration{}
	for i := range 9 {
		many[fmt.Sprint("x", i)] = time.Duration(i+100) * time.Second
	}
	s.samples.add(now, Sample{Lags: many})
	if c, _ = s.lagByExchange(now); len(c.Lines) != lagLines || c.Lines[0].Name != "x8" || !strings.Contains(c.Title, "the 6 longest of 12") {
		t.Errorf("the graph of many exchanges is %+v", c)
	}
}

func TestAPauseIsInTheVerdict(t *testing.T) {
	w := newWorld(t, func(s *Source, _ *Options) {
		s.Status = func(context.Context) (*Status, error) {
			return &Status{Pauses: []PauseStatus{{What: "relay exchange shop", By: "bob", Reason: "ticket <7>", Until: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}}}, nil
		}
	})
	w.get("/").must(t, http.StatusOK).has(t, `<span class="verdict paused">paused</span>`, "by bob: relay exchange shop until <time>2030-01-02 03:04:05 UTC</time> (ticket &lt;7&gt;)")
	if got := (&Status{Problems: []string{"x"}, Pauses: []PauseStatus{{}}}).Verdict(); got != "unhealthy" {
		t.Errorf("with a problem and a pause the verdict is %q, want unhealthy", got)
	}
}

func TestALineIsInterruptedWhereSamplesAreMissing(t *testing.T) {
	now := time.Now()
	at := func(ago time.Duration) point { return point{now.Add(-ago), 1} }
	if got := polylines([]point{at(10 * time.Minute), at(9*time.Minute + 50*time.Second), at(time.Minute), at(50 * time.Second)}, now, 1); len(got) != 2 {
		t.Errorf("the parts are %v, want 2", got)
	}
}

func TestTheServerEndsWithItsContext(t *testing.T) {
	w := newWorld(t, func(_ *Source, o *Options) { o.Authorize = nil })
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan net.Addr, 1)
	done := make(chan error, 1)
	go func() {
		done <- (&Server{Address: "127.0.0.1:0", Console: w.console, Listening: func(a net.Addr) { listening <- a }}).Run(ctx)
	}()
	w.server.URL = "http://" + (<-listening).String()
	w.exchange("user")
	r := w.request(http.MethodGet, "/s/orders/tail/events?exchange=user", nil)
	answer, err := w.client.Do(r) // a live tail must not hold up the shutdown
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	err = (&Server{Address: "127.0.0.1:99999", Console: w.console}).Run(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "console: ") {
		t.Errorf("a wrong port: %v", err)
	}
}

// dueList lists due records.
type dueList []parley.Record

func (l dueList) Due(_ context.Context, limit int) ([]parley.Record, error) {
	return l[:min(limit, len(l))], nil
}

func TestDueRecordsAreGroupedByRoute(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	list := dueList{
		{Message: parley.Message{Exchange: "user", RoutingKey: "renamed"}, CreatedAt: ago(90 * time.Minute)},
		{Message: parley.Message{Exchange: "user", RoutingKey: "renamed"}, CreatedAt: ago(time.Hour)},
		{Message: parley.Message{Exchange: "shop", RoutingKey: "paid"}, CreatedAt: ago(72 * time.Hour), DueAt: ago(49 * time.Hour)},
	}
	w := newWorld(t, func(s *Source, _ *Options) { s.Outbox = list })
	w.get("/s/orders/outbox").must(t, http.StatusOK).has(t, `<td class="n">2</td><td class="n">1h30m</td>`, `<td class="n">1</td><td class="n">2 days</td>`)
	many := make(dueList, dueLimit+5)
	w = newWorld(t, func(s *Source, _ *Options) { s.Outbox = many })
	w.get("/s/orders/outbox").must(t, http.StatusOK).has(t, "1000 or more", "the first 1000 records only")
}
