package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

var selected = url.Values{"exchange": {"user"}, "routing_key": {"remind"}, "tags": {"user=7"}}

func with(form url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for k, v := range form {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out.Set(pairs[i], pairs[i+1])
	}
	return out
}

// confirmation returns the fields of a preview, with the hidden text areas.
func (p page) confirmation() url.Values {
	form := p.form()
	for _, m := range regexp.MustCompile(`(?s)<textarea hidden name="([^"]+)"[^>]*>\n(.*?)</textarea>`).FindAllStringSubmatch(p.body, -1) {
		form.Set(m[1], unescape(m[2]))
	}
	return form
}

func TestScheduledMessagesAreCancelledAfterAPreview(t *testing.T) {
	w := newWorld(t, nil)
	w.schedule("7")
	w.schedule("7")
	w.schedule("8")
	w.get("/s/orders/scheduled").must(t, http.StatusOK).has(t, "user=7", "user=8")
	p := w.post("/s/orders/scheduled/preview", with(selected, "action", "cancel")).must(t, http.StatusOK)
	p.has(t, "<strong>2</strong>", "parley scheduled cancel --exchange user --routing-key remind --tag user=7")
	if n := len(w.store.Pending()); n != 3 {
		t.Fatalf("the preview has left %d messages, want 3", n)
	}
	w.post("/s/orders/scheduled/confirm", p.confirmation()).must(t, http.StatusOK).has(t, "Cancelled: 2 messages.")
	if n := len(w.store.Pending()); n != 1 {
		t.Errorf("%d messages are left, want 1", n)
	}
	w.get("/actions").has(t, "cancel", "user/remind user=7")
}

func TestScheduledMessagesAreMoved(t *testing.T) {
	w := newWorld(t, nil)
	w.schedule("7")
	p := w.post("/s/orders/scheduled/preview", with(selected, "action", "move", "to", "2040-01-31T08:00:00+02:00")).must(t, http.StatusOK).has(t, "2040-01-31 06:00:00 UTC")
	w.post("/s/orders/scheduled/confirm", p.confirmation()).must(t, http.StatusOK)
	if due := w.store.Pending()[0].DueAt; !due.Equal(time.Date(2040, 1, 31, 6, 0, 0, 0, time.UTC)) {
		t.Errorf("it is due at %v", due)
	}
	w.post("/s/orders/scheduled/preview", with(selected, "action", "move", "to", "+1h30m")).must(t, http.StatusOK).has(t, "Confirm: move 1")
}

func TestAScheduledMessageThatArrivesAfterThePreviewIsNotCancelled(t *testing.T) {
	w := newWorld(t, nil)
	w.schedule("7")
	p := w.post("/s/orders/scheduled/preview", with(selected, "action", "cancel")).must(t, http.StatusOK)
	w.schedule("7")
	w.post("/s/orders/scheduled/confirm", p.confirmation()).must(t, http.StatusConflict).has(t, "Nothing was done")
	if n := len(w.store.Pending()); n != 2 {
		t.Errorf("%d messages are left, want 2", n)
	}
	if strings.Contains(w.get("/actions").body, "cancel") {
		t.Error("the refused change is in the log of actions")
	}
}
