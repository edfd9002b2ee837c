package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestTheEditorGetsThePayloadAndTheEnvelopeStays(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "orders",
		kept{state: parley.FailureParked, kind: parley.KindEvent, body: `{"eventId": 7, "eventType": "made", "payload": {"id": 1, "big": 12345678901234567890}}`},
		kept{state: parley.FailureParked, kind: parley.KindCommand, body: `{"phone": "1", "meta": {"expiredTime": "2120-01-02T03:04:05.000Z"}}`},
		kept{state: parley.FailureParked, kind: parley.KindCall, body: `{"id": 77, "data": {"item": "tea"}, "meta": {"replyTo": "x"}}`})
	for i, tt := range []struct{ editor, shown, want string }{
		{`sed -i 's/"id": 1/"id": 2/'`, "+   \"id\": 2,", `{"eventId":7,"eventType":"made","payload":{"id":2,"big":12345678901234567890}}`},
		{`sed -i 's/"1"/"2"/'`, `+   "phone": "2"`, `{"phone":"2","meta":{"expiredTime":"2120-01-02T03:04:05.000Z"}}`},
		{`sed -i 's/tea/coffee/'`, `+   "item": "coffee"`, `{"id":77,"data":{"item":"coffee"},"meta":{"replyTo":"x"}}`},
	} {
		t.Setenv("EDITOR", tt.editor)
		out := mustCall(t, ExitOK, "parked", "edit", ids[i], "--yes", flag)
		wantText(t, out, tt.shown, "replaced the body")
		if strings.Contains(out, "eventType") || strings.Contains(out, "replyTo") {
			t.Errorf("the envelope is shown:\n%s", out)
		}
		wantText(t, mustCall(t, ExitOK, "parked", "export", ids[i], flag), `"body":`+tt.want)
	}
	t.Setenv("EDITOR", "true")
	wantText(t, mustCall(t, ExitOK, "parked", "edit", ids[0], flag), "unchanged")
}

func TestAnEditThatBreaksTheMessageIsRefusedAndKept(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	t.Setenv("TMPDIR", t.TempDir())
	id := keep(t, s, "orders", kept{state: parley.FailureParked, kind: parley.KindEvent, body: `{"eventId": 7, "eventType": "made", "payload": {}}`})[0]
	for editor, want := range map[string]string{
		`printf '{"a": ' >`:                  "not JSON",
		`printf '{"payload": {}}' >`:         "the new body lacks eventId, eventType of the envelope",
		`printf '"a"' >`:                     "the body must stay a JSON object",
		`sed -i 's/made/\xff/'`:              "UTF-8",
		`printf '{"eventId":8,"payload":' >`: "not JSON",
	} {
		t.Setenv("EDITOR", editor)
		args := []string{"parked", "edit", id, "--raw", "--yes", flag}
		out := mustCall(t, ExitFailed, args...)
		wantText(t, out, want)
		_, file, ok := strings.Cut(out, "(the edited text is in ")
		if _, err := os.Stat(strings.TrimSuffix(strings.TrimSpace(file), ")")); !ok || err != nil {
			t.Errorf("the edited text is lost: %v\n%s", err, out)
		}
	}
	wantText(t, mustCall(t, ExitOK, "parked", "export", id, flag), `"eventType":"made"`)
	t.Setenv("EDITOR", "false")
	wantText(t, mustCall(t, ExitFailed, "parked", "edit", id, "--yes", flag), `editor "false": exit status 1`)
	t.Setenv("EDITOR", "")
	t.Setenv("VISUAL", "")
	wantText(t, mustCall(t, ExitUsage, "parked", "edit", id, flag), "set EDITOR, or give the new payload with --file")
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "parley-*")); err != nil || len(left) != 5 {
		t.Errorf("files left: %q (%v), want those of the five refused edits", left, err)
	}
}

func TestRawReplacesTheWholeBody(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	ids := keep(t, s, "orders", kept{state: parley.FailureParked, body: "no JSON"}, kept{state: parley.FailureParked, kind: parley.KindEvent, body: `{"eventId": 7, "payload": {}}`})
	file := servicetest.WriteFile(t, "body", `{"eventId": 7, "payload": {"id": 3}}`)
	wantText(t, mustCall(t, ExitFailed, "parked", "edit", ids[0], "--yes", "--file", file, flag), "not a JSON object", "--raw")
	for _, id := range ids {
		wantText(t, mustCall(t, ExitOK, "parked", "edit", id, "--raw", "--yes", "--file", file, flag), "replaced the body")
		wantText(t, mustCall(t, ExitOK, "parked", "export", id, flag), `"body":{"eventId":7,"payload":{"id":3}}`)
	}
}

func FuzzADiffHasBothTexts(f *testing.F) {
	f.Add("a\nb\nc", "a\nc\nd")
	f.Fuzz(func(t *testing.T, before, after string) {
		a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
		var x, y []string
		for _, l := range diff(a, b) {
			if l.sign != '+' {
				x = append(x, l.text)
			}
			if l.sign != '-' {
				y = append(y, l.text)
			}
		}
		if strings.Join(x, "\n") != before || strings.Join(y, "\n") != after {
			t.Errorf("the diff of %q and %q has %q and %q", before, after, x, y)
		}
	})
}

func FuzzAnEditKeepsTheRestOfTheBody(f *testing.F) {
	f.Add(`{"eventId": 1, "payload": {"a": 1}, "x": [1, {"payload": 2}]}`, `{"b": "\u00e9"}`)
	f.Add(`{"payload":1,"payload":2}`, "null")
	f.Fuzz(func(t *testing.T, body, text string) {
		part, err := editablePart(parley.KindEvent, []byte(body), false)
		if err != nil {
			return
		}
		out, err := part.with([]byte(text))
		if err != nil {
			return
		}
		before, err1 := membersOf([]byte(body))
		after, err2 := membersOf(out)
		if err1 != nil || err2 != nil || len(before) != len(after) {
			t.Fatalf("%s became %s (%v, %v)", body, out, err1, err2)
		}
		for i := range before {
			a, b := body[before[i].start:before[i].end], string(out[after[i].start:after[i].end])
			if before[i].name != after[i].name || before[i].name != "payload" && a != b {
				t.Errorf("%s became %s", body, out)
			}
		}
	})
}
