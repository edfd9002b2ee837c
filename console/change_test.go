package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func preview(action string, ids ...string) url.Values {
	return url.Values{"action": {action}, "id": ids, "place": {ids[0][:1]}}
}

func TestAReplayIsShownFirstAndThenDone(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{"name": "Ada"}`)
	other := w.parked(`{"name": "Bob"}`)
	p := w.post("/s/orders/parked/preview", preview("replay", id)).must(t, http.StatusOK).has(t, "Confirm: replay 1", "parley parked replay "+id)
	if row, err := w.row(id); err != nil || row.State != parley.FailureParked {
		t.Fatalf("the preview has changed the row: %v, %v", row.State, err)
	}
	w.post("/s/orders/parked/confirm", p.form()).must(t, http.StatusOK).has(t, "Replayed: 1 message.", "parley parked replay "+id)
	if row, err := w.row(id); err != nil || row.State != parley.FailureWaiting {
		t.Errorf("the row is %v, %v, want waiting", row.State, err)
	}
	if row, err := w.row(other); err != nil || row.State != parley.FailureParked {
		t.Errorf("the other row is %v, %v, want parked", row.State, err)
	}
	w.get("/actions").has(t, "ada", "replay", "parley parked replay "+id)
	if log := w.log.String(); !strings.Contains(log, "user=ada") || !strings.Contains(log, "action=replay") || strings.Contains(log, "Ada") {
		t.Errorf("the log is %s, want the user and the action and no body", log)
	}
}

func TestAConfirmationIsRefusedIfTheMessagesHaveChanged(t *testing.T) {
	for name, change := range map[string]func(w *world, id string, form url.Values){
		"replayed meanwhile": func(w *world, id string, _ url.Values) {
			if _, err := w.store.Failures().Replay(w.t.Context(), parley.FailureQuery{IDs: []int64{numberOf('c', id)}}, 0); err != nil {
				w.t.Fatal(err)
			}
		},
		"edited meanwhile, to a body of the same size": func(w *world, id string, _ url.Values) {
			if err := w.store.Failures().Edit(w.t.Context(), numberOf('c', id), []byte(`{"name":"Eve"}`)); err != nil {
				w.t.Fatal(err)
			}
		},
		"dropped meanwhile": func(w *world, id string, _ url.Values) {
			if _, _, err := w.store.Failures().Drop(w.t.Context(), parley.FailureQuery{IDs: []int64{numberOf('c', id)}}); err != nil {
				w.t.Fatal(err)
			}
		},
		"another action":  func(_ *world, _ string, form url.Values) { form.Set("action", "drop") },
		"another message": func(w *world, _ string, form url.Values) { form.Set("ids", w.parked(`{"name":"Bob"}`)) },
		"one message more": func(w *world, id string, form url.Values) {
			form.Add("ids", w.parked(`{"name":"Bob"}`))
		},
		"no hash": func(_ *world, _ string, form url.Values) { form.Del("hash") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			id := w.parked(`{"name":"Ada"}`)
			form := w.post("/s/orders/parked/preview", preview("replay", id)).must(t, http.StatusOK).form()
			change(w, id, form)
			before, _ := w.store.Failures().List(t.Context(), parley.FailureQuery{}, 0, 100)
			w.post("/s/orders/parked/confirm", form).must(t, http.StatusConflict).has(t, "Nothing was done")
			after, _ := w.store.Failures().List(t.Context(), parley.FailureQuery{}, 0, 100)
			if fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("before %v, after %v", before, after)
			}
			if n := len(w.console.actions.newest()); n != 0 {
				t.Errorf("%d actions are logged, want none", n)
			}
		})
	}
}

func TestASecondConfirmationOfOneFormIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	form := w.post("/s/orders/parked/preview", preview("replay", w.parked(`{}`))).form()
	w.post("/s/orders/parked/confirm", form).must(t, http.StatusOK)
	w.post("/s/orders/parked/confirm", form).must(t, http.StatusConflict)
}

func TestAllThatAFilterFindsIsDropped(t *testing.T) {
	w := newWorld(t, nil)
	for range 3 {
		w.parked(`{}`)
	}
	kept := w.park(parley.Failure{Message: parley.Message{Exchange: "shop", RoutingKey: "paid", Kind: parley.KindEvent, Body: []byte(`{}`)}, History: parley.History{Reason: "another"}})
	form := url.Values{"action": {"drop"}, "all": {"1"}, "place": {"c"}, "exchange": {"us*"}, "reason": {"retries"}}
	p := w.post("/s/orders/parked/preview", form).must(t, http.StatusOK).has(t, "Confirm: drop 3")
	w.post("/s/orders/parked/confirm", p.form()).must(t, http.StatusOK).has(t, "Dropped: 3 messages.")
	rows, err := w.store.Failures().List(t.Context(), parley.FailureQuery{}, 0, 10)
	if err != nil || len(rows) != 1 || fmt.Sprintf("c%d", rows[0].ID) != kept {
		t.Errorf("left are %v, %v, want %s", rows, err, kept)
	}
}

func TestOneConfirmationChangesAtMostAThousandMessages(t *testing.T) {
	w := newWorld(t, nil)
	for range previewLimit + 1 {
		w.parked(`{}`)
	}
	form := url.Values{"action": {"replay"}, "all": {"1"}, "place": {"c"}, "rate": {"50"}}
	p := w.post("/s/orders/parked/preview", form).must(t, http.StatusOK).has(t, "Confirm: replay 1000", "the first of a larger selection")
	w.post("/s/orders/parked/confirm", p.form()).must(t, http.StatusOK).has(t, "Replayed: 1000 messages.", "--rate 50/s")
	rows, err := w.store.Failures().List(t.Context(), parley.FailureQuery{States: []parley.FailureState{parley.FailureWaiting}}, 0, 2000)
	if err != nil || len(rows) != previewLimit {
		t.Fatalf("%d rows wait, %v", len(rows), err)
	}
	if spread := rows[len(rows)-1].DueAt.Sub(rows[0].DueAt).Round(time.Second); spread != 20*time.Second {
		t.Errorf("the replays are spread over %v, want 20 s", spread)
	}
}

func TestExpiredCommandsAreLeftOutOfAReplay(t *testing.T) {
	w := newWorld(t, nil)
	past := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	id := w.park(parley.Failure{Message: parley.Message{Exchange: "sms", RoutingKey: "send", Kind: parley.KindCommand, Body: []byte(`{"meta": {"expiredTime": "` + past + `"}}`)}})
	form := preview("replay", id)
	w.post("/s/orders/parked/preview", form).must(t, http.StatusOK).has(t, "1 expired", "Nothing to do.")
	form.Set("force", "1")
	w.post("/s/orders/parked/preview", form).must(t, http.StatusOK).has(t, "Confirm: replay 1", "--force")
}

func TestAnEditShowsItsDifferenceAndKeepsNumbersAndTheOrderOfKeys(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{"id": 12345678901234567890, "z": 1.50, "name": "Ada"}`)
	w.get("/s/orders/parked/"+id+"/edit").must(t, http.StatusOK).has(t, "12345678901234567890")
	body := "{\r\n  \"id\": 12345678901234567890,\r\n  \"z\": 1.50,\r\n  \"name\": \"Grace\"\r\n}"
	p := w.post("/s/orders/parked/"+id+"/edit/preview", url.Values{"body": {body}}).must(t, http.StatusOK)
	p.has(t, `<span class="minus">-   &#34;name&#34;: &#34;Ada&#34;`, `<span class="plus">&#43;   &#34;name&#34;: &#34;Grace&#34;`)
	form := p.form()
	form.Set("body", body)
	stolen := url.Values{"hash": form["hash"], "body": {`{"id": 1, "z": 2, "name": "other"}`}}
	w.post("/s/orders/parked/"+id+"/edit/confirm", stolen).must(t, http.StatusConflict)
	w.post("/s/orders/parked/"+id+"/edit/confirm", form).must(t, http.StatusOK).has(t, "was replaced")
	row, err := w.row(id)
	if want := `{"id":12345678901234567890,"z":1.50,"name":"Grace"}`; err != nil || string(row.Message.Body) != want {
		t.Errorf("the body is %s, %v, want %s", row.Message.Body, err, want)
	}
	w.post("/s/orders/parked/"+id+"/edit/confirm", form).must(t, http.StatusConflict) // once more
}

func TestABodyThatIsNotJSONOrLosesAMemberIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{"eventId": 1, "payload": {}}`)
	for _, body := range []string{"", "{", "no JSON", `[1]`, `{"a": 1} {}`, `{"eventId": 1}`} {
		p := w.post("/s/orders/parked/"+id+"/edit/preview", url.Values{"body": {body}}).must(t, http.StatusOK).has(t, "The new body is wrong")
		if strings.Contains(p.body, "Confirm") {
			t.Errorf("%q may be confirmed", body)
		}
	}
	text := w.parked(`not JSON`)
	w.get("/s/orders/parked/"+text+"/edit").must(t, http.StatusConflict)
}

func TestAMalformedRequestIsAMistakeOfTheClient(t *testing.T) {
	w := newWorld(t, nil)
	id := w.parked(`{}`)
	for path, form := range map[string]url.Values{
		"/s/orders/parked/preview":      {"action": {"explode"}, "id": {id}},
		"/s/orders/parked/preview?":     {"action": {"drop"}},
		"/s/orders/parked/preview?a":    {"action": {"replay"}, "id": {id}, "rate": {"-1"}},
		"/s/orders/parked/preview?b":    {"action": {"replay"}, "all": {"1"}, "exchange": {"[a"}},
		"/s/orders/parked/confirm":      {"action": {"drop"}, "ids": {""}},
		"/s/orders/scheduled/preview":   {"action": {"cancel"}},
		"/s/orders/scheduled/preview?a": {"action": {"move"}, "exchange": {"user"}, "routing_key": {"remind"}, "tags": {"user=7"}, "to": {"soon"}},
		"/s/orders/scheduled/preview?b": {"action": {"cancel"}, "exchange": {"user"}, "routing_key": {"remind"}, "tags": {"user"}},
	} {
		w.post(path, form).must(t, http.StatusBadRequest)
	}
	w.post("/s/orders/parked/preview", url.Values{"action": {"drop"}, "id": {id}, "place": {"q:none"}}).must(t, http.StatusNotFound)
	large := url.Values{"body": {strings.Repeat("x", maxForm+1)}}
	w.post("/s/orders/parked/"+id+"/edit/preview", large).must(t, http.StatusRequestEntityTooLarge)
}

func TestArgumentsOfCommandsAreQuoted(t *testing.T) {
	got := commandLine("go run ./cmd/parley", "parked", "drop", "--reason", "it's $(rm -rf) \"x\"", "", "a/b:c")
	if want := `go run ./cmd/parley parked drop --reason 'it'\''s $(rm -rf) "x"' '' a/b:c`; got != want {
		t.Errorf("the command is %s, want %s", got, want)
	}
}
