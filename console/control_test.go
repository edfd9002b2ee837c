package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

// controlled is a world whose source groups failures, pauses and resumes.
func controlled(t *testing.T) *world {
	w := newWorld(t, nil)
	f := w.store.Failures()
	s := w.console.sources[0]
	s.Groups, s.Actions, s.Control = f, w.store, w.store
	return w
}

func TestAQueueIsPausedAndResumedAfterAPreview(t *testing.T) {
	w := controlled(t)
	form := url.Values{"action": {"pause"}, "part": {"consumer"}, "queue": {"orders"}, "for": {"30m"}, "why": {"the shop is down"}}
	p := w.post("/s/orders/control/preview", form).must(t, http.StatusOK).has(t, "parley pause consumer --queue orders --for 30m0s --reason &#39;the shop is down&#39;")
	if list, err := w.store.Pauses(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("the preview has paused %v, %v", list, err)
	}
	w.post("/s/orders/control/confirm", p.form()).must(t, http.StatusOK).has(t, "Paused: consumer queue orders until")
	w.get("/s/orders/queues").must(t, http.StatusOK).has(t, "the shop is down", "Resume…")
	w.get("/actions").has(t, "pause", "ada")
	w.post("/s/orders/control/confirm", p.form()).must(t, http.StatusConflict) // it is paused now
	p = w.post("/s/orders/control/preview", url.Values{"action": {"resume"}, "part": {"consumer"}, "queue": {"orders"}}).must(t, http.StatusOK)
	w.post("/s/orders/control/confirm", p.form()).must(t, http.StatusOK).has(t, "Resumed: consumer queue orders.")
	if list, err := w.store.Pauses(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("still paused are %v, %v", list, err)
	}
}

func TestAPauseWithoutAnEndOrAnObjectIsRefused(t *testing.T) {
	w := controlled(t)
	for _, form := range []url.Values{
		{"action": {"pause"}, "part": {"consumer"}, "queue": {"orders"}}, {"action": {"pause"}, "part": {"consumer"}, "for": {"30m"}}, {"action": {"pause"}, "part": {"all"}, "for": {"30m"}},
		{"action": {"pause"}, "part": {"relay"}, "for": {"-1m"}}, {"action": {"pause"}, "part": {"relay"}, "for": {"9000h"}}, {"action": {"stop"}, "part": {"relay"}},
	} {
		w.post("/s/orders/control/preview", form).must(t, http.StatusBadRequest)
	}
	newWorld(t, nil).post("/s/orders/control/preview", url.Values{"action": {"resume"}}).must(t, http.StatusNotFound) // a source without control
}

func TestParkedMessagesAreGroupedByTheirCause(t *testing.T) {
	w := controlled(t)
	group := parley.Fingerprint("user", "renamed", "no such user")
	for range 3 {
		w.park(parley.Failure{Message: parley.Message{Exchange: "user", RoutingKey: "renamed", Kind: parley.KindEvent, Body: []byte(`{}`)}, History: parley.History{LastError: "no such user"}, Fingerprint: group})
	}
	w.parked(`{}`)
	body := w.get("/s/orders/parked").must(t, http.StatusOK).has(t, "Groups", "group="+group).body
	if !strings.Contains(body, `<td class="n">3</td>`) {
		t.Errorf("the group has not 3 messages:\n%s", body)
	}
	if body := w.get("/s/orders/parked?place=c&group="+group).must(t, http.StatusOK).has(t, "--group "+group).body; strings.Contains(body, `value="c4"`) {
		t.Error("a message of another cause is in the group")
	}
	form := url.Values{"action": {"drop"}, "all": {"1"}, "place": {"c"}, "group": {group}}
	p := w.post("/s/orders/parked/preview", form).must(t, http.StatusOK).has(t, "Confirm: drop 3")
	w.post("/s/orders/parked/confirm", p.form()).must(t, http.StatusOK).has(t, "Dropped: 3 messages.")
}

func TestOneScheduledRecordIsCancelledByItsNumber(t *testing.T) {
	w := newWorld(t, nil)
	w.schedule("7")
	w.schedule("7")
	id := w.store.Pending()[0].ID
	p := w.post("/s/orders/scheduled/preview", url.Values{"action": {"cancel"}, "record": {strconv.FormatInt(id, 10)}}).must(t, http.StatusOK).has(t, "<strong>1</strong>", "parley scheduled cancel "+strconv.FormatInt(id, 10))
	w.post("/s/orders/scheduled/confirm", p.confirmation()).must(t, http.StatusOK).has(t, "Cancelled: 1 message.")
	if n := len(w.store.Pending()); n != 1 {
		t.Errorf("%d messages are left, want 1", n)
	}
	w.get("/s/orders/scheduled?record=x").must(t, http.StatusBadRequest)
}
