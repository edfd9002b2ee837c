package service

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
)

func TestPublishRecordsAnEventInTheOutbox(t *testing.T) {
	flag := sqliteURL(t)
	wantText(t, mustCall(t, ExitOK, "publish", "user", "renamed", "--payload", `{"user_id": 1}`, flag, "--app-id=cli"), "recorded in the outbox (id 1,")
	wantText(t, mustCall(t, ExitOK, "publish", "user", "remind", "--payload", `{}`, "--at=+1h", "--tag=a=b", flag), "id 2")
	wantText(t, mustCall(t, ExitOK, "send", "sms", "", "--arguments", `{"phone": "1"}`, "--outbox", flag), "id 3")
	b, err := openFlag(t, flag).db.Claim(t.Context(), parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	records := b.Records()
	if err := b.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if len(records) != 2 || records[0].AppID != "cli" || !strings.Contains(string(records[0].Body), `"payload": {"userId":1}`) || records[1].Kind != parley.KindCommand {
		t.Errorf("the outbox has %+v, want the event and the command", records)
	}
	wantText(t, mustCall(t, ExitOK, "scheduled", "ls", flag), "a=b")
}

func TestPrintedTextCannotSteerATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain ünïcode €": "plain ünïcode €", "\x1b[2J\r\n\t\a": `\x1b[2J\r\n\t\a`, "\u009b2J": `\u009b2J`,
		"a\u202eb": `a\u202eb`, "bad\xffutf": `bad\xffutf`, "del\x7f": `del\x7f`,
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) is %q, want %q", text, got, want)
		}
	}
	var out strings.Builder
	if err := writeJSON(&out, object{"body": json.RawMessage("\"\u009b\u202e\U000E0001\"")}); err != nil {
		t.Fatal(err)
	}
	if want := `{"body":"\u009b\u202e\udb40\udc01"}` + "\n"; out.String() != want {
		t.Errorf("JSON is %q, want %q", out.String(), want)
	}
}

func FuzzPrintedTextIsSafe(f *testing.F) {
	f.Add("\x1b[2J\u009b\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		if got := printable(text); strings.IndexFunc(got, unsafeRune) >= 0 {
			t.Errorf("printable(%q) is %q", text, got)
		}
	})
}

func TestPublishRefusesWhatCannotBeSent(t *testing.T) {
	for _, args := range []string{
		"publish user", "publish user renamed", "publish user renamed --payload {", "publish amq.topic renamed --payload {}",
		"publish user renamed --payload {} --tag a=b", "publish user renamed --payload {} --at soon", "send sms x --arguments []",
		"publish user renamed --payload {} --direct --at +1h", "tail",
	} {
		mustCall(t, ExitUsage, append(strings.Fields(args), "--database-url=sqlite:unused.db", "--broker-url=amqp://127.0.0.1")...)
	}
}

func TestTailShowsWhatAnExchangeRoutesSafely(t *testing.T) {
	name, url := testenv.Unique(t, "parley_tail"), testenv.RabbitMQ(t)
	cleanUp(t, name)
	rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		return b.Declare(ctx, parley.Topology{Exchanges: []parley.Exchange{{Name: name}}})
	})
	for _, form := range []string{"", "--json"} {
		type result struct {
			code      int
			out, errs string
		}
		ended := make(chan result, 1)
		go func() {
			args := []string{"tail", name, "made.*", "--count=1", "--broker-url=" + url}
			code, out, errs := call(t, append(args, strings.Fields(form)...)...)
			ended <- result{code, out, errs}
		}()
		await(t, "the tail takes the message", func() error {
			code, _, errs := call(t, "publish", name, "made.now", "--payload", `{"esc": "`+"\u009b"+`2J"}`, "--direct", "--broker-url="+url)
			if code != ExitOK {
				return errors.New(errs)
			}
			return nil
		})
		r := <-ended
		if r.code != ExitOK || strings.ContainsRune(r.out, 0x9b) || !strings.Contains(r.out, "made.now") || !strings.Contains(r.out, "esc") {
			t.Errorf("exit code %d, output %q %q", r.code, r.out, r.errs)
		}
		if form != "" && !json.Valid([]byte(r.out)) {
			t.Errorf("not JSON: %q", r.out)
		}
	}
	wantText(t, mustCall(t, ExitFailed, "send", name, "nobody", "--arguments", "{}", "--broker-url="+url), "no queue bound")
	wantText(t, mustCall(t, ExitFailed, "tail", name+".missing", "--broker-url="+url), "no exchange")
}
