package browsertest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/console"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
)

type user struct {
	ID   int64  `json:"user_id"`
	Name string `json:"name"`
}

var (
	renamed = parley.NewEvent[user]("user", "renamed")
	remind  = parley.NewEvent[user]("user", "remind")
)

// A service in memory: a consumer fails for users without a name.
type service struct {
	store   *memory.Store
	outbox  *parley.Outbox[*memory.Tx]
	handled atomic.Int64
	url     string
}

// start runs a service with a console until the test ends.
func start(t *testing.T) *service {
	t.Helper()
	s := &service{store: memory.NewStore()}
	broker := memory.NewBroker(nil)
	var err error
	if s.outbox, err = parley.NewOutbox(s.store, nil); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	topology := parley.Topology{Exchanges: []parley.Exchange{{Name: "user"}}, Queues: []parley.Queue{{Name: "orders"}}, Bindings: []parley.Binding{{Queue: "orders", Exchange: "user"}}}
	router := parley.NewRouter()
	parley.OnPattern(router, "user", "#", func(_ context.Context, e parley.Event[user]) error {
		if e.Payload.Name == "" {
			return fmt.Errorf("rename user %d: the name is empty", e.Payload.ID)
		}
		s.handled.Add(1)
		return nil
	})
	relay, err := parley.NewRelay(s.store, broker, &parley.RelayConfig{Topology: topology, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := parley.NewConsumer(broker, router, &parley.ConsumerConfig{
		Queue: "orders", Topology: topology, Logger: quiet, Failures: s.store.Failures(), Retry: parley.RetryPolicy{Immediate: []time.Duration{time.Millisecond}, Delays: []time.Duration{time.Second}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := console.New([]console.Source{{
		Name: "orders", Failures: s.store.Failures(), ParkedRecords: s.store, Schedule: console.ScheduleOf(s.store, s.store.InTx), Broker: broker, Groups: s.store.Failures(), Actions: s.store, Control: s.store,
		Status: s.status,
		Topology: func(ctx context.Context) (*console.Topology, error) {
			n, consumers, err := broker.QueueLen(ctx, "orders")
			return &console.Topology{Bindings: topology.Bindings, Queues: []console.QueueStatus{{Name: "orders", Role: "queue", Messages: n, Consumers: consumers}}, Routes: []console.Route{{Queue: "orders", Exchange: "user", Pattern: "#", Handler: "main.go:12"}}}, err
		},
		Settings: func() []console.Setting {
			return []console.Setting{{Key: "queue", Value: "orders", Source: "parley.yaml: queue"}}
		},
		Doctor: func(context.Context) []parley.Finding {
			return []parley.Finding{{Level: parley.FindingFine, Name: "clock", Detail: "in step with the database"}}
		},
		Sample: func(context.Context) (console.Sample, error) {
			return console.Sample{Handled: s.handled.Load(), Published: -1, Failed: -1}, nil
		},
	}}, console.Options{Write: true, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c)
	s.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 3)
	for _, r := range []parley.Runner{relay, consumer, c} {
		go func() { done <- r.Run(ctx) }() // joined by the cleanup
	}
	t.Cleanup(func() {
		cancel()
		server.CloseClientConnections()
		server.Close()
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func (s *service) status(ctx context.Context) (*console.Status, error) {
	st, err := s.store.Stats(ctx)
	failed, failedErr := s.store.Failures().Stats(ctx, "orders")
	if err == nil {
		err = failedErr
	}
	out := &console.Status{At: time.Now(), Relay: &console.RelayStatus{Leader: "this process", Due: console.Count{N: st.Due}, Scheduled: console.Count{N: st.Scheduled}}, Process: map[string]string{"relay": "ok", "consumer": "ok"}}
	if failed.Parked > 0 {
		out.Parked = []console.ParkedStatus{{Place: "consumer", Name: "orders", Count: console.Count{N: failed.Parked}, Oldest: failed.OldestParked}}
		out.Problems = []string{fmt.Sprintf("parked messages: %d (list them with: parked ls)", failed.Parked)}
	}
	return out, err
}

func (s *service) publish(t *testing.T, e *parley.EventType[user], u user, options ...parley.PublishOption) {
	t.Helper()
	err := s.store.InTx(t.Context(), func(tx *memory.Tx) error {
		_, err := parley.Publish(t.Context(), s.outbox.In(tx), e, u, options...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out: " + what)
		}
	}
}

func (s *service) parked(t *testing.T) int64 {
	st, err := s.store.Failures().Stats(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	return st.Parked
}

// open starts a browser, and fails the test for each error that its console reports, such as a violation of the policy.
func open(t *testing.T) context.Context {
	t.Helper()
	program := testenv.Chromium(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.WindowSize(1280, 900))
	base, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	base, cancel = chromedp.NewContext(base)
	t.Cleanup(cancel)
	if err := chromedp.Do(base); err != nil {
		t.Fatal(err)
	}
	messages := chromedp.Console(base)
	done := make(chan struct{})
	var found []string
	go func() { // joined by the cleanup
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleException || m.Type == "error" || m.Type == "warning" {
				found = append(found, m.Text+" at "+m.URL)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if len(found) > 0 {
			t.Errorf("the browser reports:\n%s", strings.Join(found, "\n"))
		}
	})
	ctx, stop := context.WithTimeout(base, 3*time.Minute)
	t.Cleanup(stop)
	return ctx
}

type step = chromedp.Action[chromedp.Void]

func run(t *testing.T, ctx context.Context, steps ...step) {
	t.Helper()
	for i, s := range steps {
		limited, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := chromedp.Do(limited, s)
		cancel()
		if err != nil {
			text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
			t.Fatalf("step %d: %v on the page:\n%s", i+1, err, text)
		}
	}
}

// click clicks a button or a link whose text begins with a text.
func click(text string) step {
	return chromedp.Click(chromedp.Search(fmt.Sprintf(`//main//*[self::button or self::a][starts-with(normalize-space(.), %q)] | //nav//a[starts-with(normalize-space(.), %[1]q)]`, text)))
}

// see waits for a text in the main part of the page.
func see(text string) step {
	return chromedp.WaitVisible(chromedp.Search(fmt.Sprintf(`//main[contains(., %q)]`, text)))
}

// script runs a script in the page.
func script(text string) step {
	return func(ctx context.Context, _ *chromedp.Target) (none chromedp.Void, err error) {
		_, err = chromedp.Run(ctx, chromedp.Evaluate[any](text))
		return none, err
	}
}

func emulate[P any](command cdp.Command[P, cdp.Empty], params P) step {
	return func(ctx context.Context, _ *chromedp.Target) (none chromedp.Void, err error) {
		_, err = chromedp.Call(ctx, command, params)
		return none, err
	}
}

func TestAParkedMessageIsLookedAtEditedReplayedAndHandled(t *testing.T) {
	ctx := open(t)
	s := start(t)
	s.publish(t, renamed, user{ID: 7})
	await(t, "the message is parked", func() bool { return s.parked(t) == 1 })
	run(t, ctx,
		chromedp.Navigate(s.url), see("unhealthy"), click("Parked, orders"), see("the name is empty"), click("c1"), see("rename user 7"),
		click("Edit"), chromedp.WaitVisible(chromedp.CSS("#body")),
		script(`document.getElementById("body").value = document.getElementById("body").value.replace('"name": ""', '"name": "Grace"')`), click("Preview the change"), see("Confirm: replace the body"), see("Grace"),
		click("Confirm: replace the body"), see("was replaced"), click("Back"), click("Replay"), see("Confirm: replay 1"), see("parley parked replay c1"),
		click("Confirm: replay 1"), see("Replayed: 1 message."),
	)
	await(t, "the message is handled", func() bool { return s.handled.Load() == 1 && s.parked(t) == 0 })
	run(t, ctx, click("Log of actions"), see("replay"), see("edit"))
}

func TestAScheduledMessageIsCancelledAndAQueueIsPausedAndResumed(t *testing.T) {
	ctx := open(t)
	s := start(t)
	s.publish(t, remind, user{ID: 7, Name: "Ada"}, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(parley.Tags{"user_id": 7}))
	run(t, ctx,
		chromedp.Navigate(s.url+"/s/orders/scheduled"), see("user_id=7"), click("All with its tags"), see("With these messages"), click("Cancel…"), see("Confirm: cancel 1"), click("Confirm: cancel 1"), see("Cancelled: 1 message."),
	)
	if n := len(s.store.Pending()); n != 0 {
		t.Errorf("%d messages are still scheduled", n)
	}
	run(t, ctx,
		chromedp.Navigate(s.url+"/s/orders/queues"), see("Nothing is paused."), chromedp.SetValue(chromedp.CSS(`input[name="queue"]`), "orders"), chromedp.SetValue(chromedp.CSS(`input[name="why"]`), "maintenance"),
		click("Pause…"), see("Confirm: pause"), click("Confirm: pause"), see("Paused: consumer queue orders"), click("Back"), see("maintenance"), click("Resume…"), click("Confirm: resume"), see("Resumed"),
	)
}

func TestALiveTailShowsWhatArrives(t *testing.T) {
	ctx := open(t)
	s := start(t)
	run(t, ctx,
		chromedp.Navigate(s.url+"/s/orders/tail"), chromedp.SetValue(chromedp.CSS(`input[name="exchange"]`), "user"), chromedp.Click(chromedp.CSS(`input[name="bodies"]`)), click("Watch"), see("Watching."),
	)
	s.publish(t, renamed, user{ID: 1, Name: "<b>Ada</b>"})
	run(t, ctx, see("<b>Ada</b>"), click("Stop"), see("Stopped after 1 messages."))
}

func TestAMessageIsReplayedWithoutScript(t *testing.T) {
	ctx := open(t)
	s := start(t)
	s.publish(t, renamed, user{ID: 7})
	await(t, "the message is parked", func() bool { return s.parked(t) == 1 })
	run(t, ctx,
		emulate(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}),
		chromedp.Navigate(s.url+"/s/orders/parked/c1"), click("Replay"), see("Confirm: replay 1"), click("Confirm: replay 1"), see("Replayed: 1 message."),
	)
}

// checks is what an assistive technology and a keyboard need, as a script that returns a list of defects: names of fields and buttons,
// landmarks, the contrast of texts, and no page that is wider than the window.
const checks = `(() => {
  const out = [];
  const name = (e) => (e.getAttribute("aria-label") || (e.labels && [...e.labels].map((l) => l.textContent).join("")) || e.textContent || e.getAttribute("title") || "").trim();
  const shown = (e) => e.getClientRects().length > 0;
  for (const e of document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea")) if (shown(e) && !name(e)) out.push("no name: " + e.outerHTML.slice(0, 80));
  for (const [selector, n] of [["main", 1], ["h1", 1], ["header", 1]]) if (document.querySelectorAll(selector).length !== n) out.push(selector + " is there " + document.querySelectorAll(selector).length + " times");
  if (!document.documentElement.lang || !document.title) out.push("no language or title");
  if (document.documentElement.scrollWidth > innerWidth + 1) out.push("the page is " + document.documentElement.scrollWidth + " px wide, the window " + innerWidth);
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e) || e.closest("svg, .hidden, .skip") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const a = luminance(rgb(getComputedStyle(e).color)), b = luminance(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) out.push("contrast " + ratio.toFixed(1) + ": " + e.outerHTML.slice(0, 80));
  }
  return out;
})()`

var pages = map[string]string{
	"overview": "/", "outbox": "/s/orders/outbox", "parked": "/s/orders/parked", "message": "/s/orders/parked/c1", "edit": "/s/orders/parked/c1/edit", "scheduled": "/s/orders/scheduled",
	"queues": "/s/orders/queues", "tail": "/s/orders/tail", "settings": "/s/orders/settings", "doctor": "/s/orders/doctor", "actions": "/actions", "find": "/m/none",
}

// The screenshots of docs/console.md are made from the same pages with PARLEY_SCREENSHOTS=1.
func TestPagesAreReadableInLightAndDarkOnADeskAndOnAPhone(t *testing.T) {
	ctx := open(t)
	s := start(t)
	for i := range int64(5) {
		s.publish(t, renamed, user{ID: i})
		s.publish(t, remind, user{ID: i, Name: "Ada"}, parley.WithDueAt(time.Now().Add(time.Duration(i+1)*time.Hour)), parley.WithTags(parley.Tags{"user_id": i}))
	}
	await(t, "the messages are parked", func() bool { return s.parked(t) == 5 })
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 375} {
			run(t, ctx, emulate(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}), chromedp.EmulateViewport(width, 800))
			for name, path := range pages {
				run(t, ctx, chromedp.Navigate(s.url+path), chromedp.WaitReady(chromedp.CSS("main")))
				found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](checks))
				if err != nil || len(found) > 0 {
					t.Errorf("%s, %s, %d px: %v %s", name, scheme, width, err, strings.Join(found, "\n\t"))
				}
				if width == 1280 && (name == "overview" || name == "parked" || name == "message" || name == "queues") {
					screenshot(t, ctx, name+"-"+scheme)
				}
			}
		}
	}
}

// screenshot writes docs/console/<name>.png if PARLEY_SCREENSHOTS is 1.
func screenshot(t *testing.T, ctx context.Context, name string) {
	if os.Getenv(testenv.ScreenshotsVariable) != "1" {
		return
	}
	image, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if len(image) > 150_000 {
		t.Errorf("the screenshot %s has %d bytes, more than 150,000", name, len(image))
	}
	if err := os.MkdirAll("../../docs/console", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("../../docs/console", name+".png"), image, 0o600); err != nil {
		t.Fatal(err)
	}
}
