package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestTheAssetsAreSmall(t *testing.T) {
	files, err := filepath.Glob("assets/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	total := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		total += len(text)
		if strings.HasSuffix(f, ".js") && len(text) > 20_000 {
			t.Errorf("%s has %d bytes, more than 20,000", f, len(text))
		}
		for _, bad := range []string{"http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s contains %q", f, bad)
			}
		}
	}
	if total > 60_000 {
		t.Errorf("the assets have %d bytes, more than 60,000", total)
	}
	w := newWorld(t, nil)
	p := w.get("/static/console.css").must(t, http.StatusOK).has(t, "prefers-color-scheme:dark", "max-width:40rem", ":focus-visible")
	if !strings.HasPrefix(p.header.Get("Content-Type"), "text/css") {
		t.Errorf("the format is %q", p.header.Get("Content-Type"))
	}
}

func TestTheDoctorRunsOnlyOnDemandAndOnceAtATime(t *testing.T) {
	var runs atomic.Int32
	enter, leave := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(s *Source, _ *Options) {
		s.Doctor = func(context.Context) []parley.Finding {
			runs.Add(1)
			enter <- struct{}{}
			<-leave
			return []parley.Finding{{Level: parley.FindingProblem, Name: "clock", Detail: "off by 3s", Hint: "synchronize it"}}
		}
	})
	w.get("/s/orders/doctor").must(t, http.StatusOK).has(t, "No examination yet")
	done := make(chan struct{})
	go func() { defer close(done); w.post("/s/orders/doctor", nil) }()
	<-enter
	w.post("/s/orders/doctor", nil).must(t, http.StatusSeeOther)
	w.get("/s/orders/doctor").has(t, "An examination is running")
	close(leave)
	<-done
	w.get("/s/orders/doctor").has(t, "off by 3s", "synchronize it", "problem")
	if n := runs.Load(); n != 1 {
		t.Errorf("%d examinations, want 1", n)
	}
}

func TestADoctorThatPanicsLeavesTheConsoleUsable(t *testing.T) {
	w := newWorld(t, func(s *Source, _ *Options) { s.Doctor = func(context.Context) []parley.Finding { panic("no") } })
	w.post("/s/orders/doctor", nil).must(t, http.StatusSeeOther)
	w.get("/s/orders/doctor").must(t, http.StatusOK).has(t, "panicked")
}

func TestSettingsAreShownAsTheSourceGivesThem(t *testing.T) {
	w := newWorld(t, nil)
	w.get("/s/orders/settings").must(t, http.StatusOK).has(t, "broker.url", "amqp://guest:xxxxx@127.0.0.1")
}

func TestChangesAreInTheLastingLogWithBeforeAndAfter(t *testing.T) {
	w := newWorld(t, nil)
	w.console.sources[0].Actions = w.store
	id := w.parked(`{"name":"Ada"}`)
	form := w.post("/s/orders/parked/"+id+"/edit/preview", map[string][]string{"body": {`{"name":"Eve"}`}}).form()
	form.Set("body", `{"name":"Eve"}`)
	w.post("/s/orders/parked/"+id+"/edit/confirm", form).must(t, http.StatusOK)
	list, err := w.store.Actions(t.Context(), parley.ActionQuery{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d actions, %v, want 1", len(list), err)
	}
	if a := list[0]; string(a.Before) != `{"name":"Ada"}` || string(a.After) != `{"name":"Eve"}` || a.By != "ada" || a.Name != parley.ActionEdit {
		t.Errorf("the action is %+v", a)
	}
	w.get("/actions").must(t, http.StatusOK).has(t, "edit", "ada")
	w.schedule("7")
	p := w.post("/s/orders/scheduled/preview", with(selected, "action", "cancel")).must(t, http.StatusOK)
	w.post("/s/orders/scheduled/confirm", p.confirmation()).must(t, http.StatusOK)
	w.get("/actions").must(t, http.StatusOK).has(t, "cancel-scheduled", "exchange=user routing_key=remind tag.user=7")
}

// unreachable is a log of actions that cannot be read.
type unreachable struct{ parley.ActionLog }

func (unreachable) Actions(context.Context, parley.ActionQuery) ([]parley.Action, error) {
	return nil, errors.New("log unreachable")
}

func TestALogThatCannotBeReadIsANoteOnThePage(t *testing.T) {
	w := newWorld(t, func(s *Source, _ *Options) { s.Actions = unreachable{} })
	w.get("/actions").must(t, http.StatusOK).has(t, "log unreachable")
}

func TestTheMemoryKeepsTheLastActions(t *testing.T) {
	var r actionRing
	for i := range actionsKept + 5 {
		r.add(action{Count: int64(i)})
	}
	if got := r.newest(); len(got) != actionsKept || got[0].Count != actionsKept+4 {
		t.Errorf("%d actions are kept, the newest is %+v", len(got), got[0])
	}
}

func TestTheGraphConnectsExchangesQueuesAndHandlers(t *testing.T) {
	svg, cut := graph(&Topology{
		Bindings: []parley.Binding{{Exchange: "user", Queue: "b"}, {Exchange: "shop", Queue: "a", RoutingKey: "paid"}, {Exchange: "gone", Queue: "unknown"}},
		Queues:   []QueueStatus{{Name: "a", Role: "queue", Messages: 3}, {Name: "b", Role: "queue", Consumers: 1}, {Name: "c", Role: "queue", Missing: true}, {Name: "a.parked", Role: "parked"}},
		Routes:   []Route{{Queue: "a", Exchange: "shop", Pattern: "paid"}, {Queue: "b", Exchange: "user", Pattern: "#", Problem: "not bound"}},
	})
	text := string(svg)
	for what, want := range map[string]int{"<rect": 3 + 3 + 2, "marker-end": 4, "stroke-dasharray": 1} {
		if got := strings.Count(text, what); got != want {
			t.Errorf("%d times %s, want %d", got, what, want)
		}
	}
	for _, want := range []string{"missing on the broker", "3 messages, 0 consumers", "0 messages, 1 consumer<", "not bound"} {
		if !strings.Contains(text, want) {
			t.Errorf("the graph has no %q", want)
		}
	}
	if cut || strings.Contains(text, "style=") || strings.Contains(text, "<style") {
		t.Error("the graph has a style, which the policy of the page forbids")
	}
	large := &Topology{Queues: make([]QueueStatus, 1000)}
	for i := range large.Queues {
		large.Queues[i] = QueueStatus{Name: fmt.Sprint(i), Role: "queue"}
	}
	if svg, cut := graph(large); strings.Count(string(svg), "<rect") != graphLimit || !cut {
		t.Errorf("a large graph has %d boxes", strings.Count(string(svg), "<rect"))
	}
}

func TestADifferenceShowsWhatHasChangedAndItsSurroundings(t *testing.T) {
	before := "{\n1\n2\n3\n4\n5\n6\n7\n8\n9\n}"
	after := "{\n1\n2\n3\n4\nfive\n6\n7\n8\n9\nten\n}"
	var out strings.Builder
	for _, l := range diff(before, after) {
		out.WriteString(l.Mark + l.Text + "|")
	}
	if got, want := out.String(), "…| 2| 3| 4|-5|+five| 6| 7| 8| 9|+ten| }|"; got != want {
		t.Errorf("the difference is %s, want %s", got, want)
	}
	if diff("a", "a") != nil {
		t.Error("equal texts differ")
	}
	long := strings.Repeat("x\n", 3000)
	if got := diff(long, strings.Repeat("y\n", 3000)); len(got) < 6000 {
		t.Errorf("%d lines", len(got))
	}
}

func TestUnreadableTextIsShownAsEscapes(t *testing.T) {
	for text, want := range map[string]string{"a\u202eb": `a\u202eb`, "a\x00\n": `a\x00\n`, "\xff": `\xff`, "\uFFFD": "\uFFFD", "ä": "ä", "\u200b": `\u200b`} {
		if got := printable(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got, cut := bodyText([]byte(strings.Repeat("x", shownBody+1))); !cut || len(got) != shownBody {
		t.Errorf("a long body is shown with %d bytes", len(got))
	}
	if got := printableBody("a\n\tb\x1b"); got != "a\n\tb\\x1b" {
		t.Errorf("%q", got)
	}
}

func TestAgesAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Microsecond: "1ms", 1500 * time.Millisecond: "2s", 90 * time.Second: "1m30s", 2 * time.Minute: "2m", 10 * time.Second: "10s", 25 * time.Hour: "25h0m", 72 * time.Hour: "3 days"} {
		if got := age(d); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
	}
}
