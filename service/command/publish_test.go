package command

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestPublishRecordsAnEventInTheOutbox(t *testing.T) {
	flag := sqliteURL(t)
	wantText(t, mustCall(t, ExitOK, "publish", "user", "renamed", "--payload", `{"user_id": 1}`, flag, "--app-id=cli"), "recorded in the outbox (id 1,")
	wantText(t, mustCall(t, ExitOK, "publish", "user", "remind", "--payload", `{}`, "--at=+1h", "--tag=a=b", flag), "id 2")
	wantText(t, mustCall(t, ExitOK, "send", "sms", "", "--arguments", `{"phone": "1"}`, "--outbox", flag), "id 3")
	b, err := openFlag(t, flag).Database().Claim(t.Context(), parley.ClaimOptions{Limit: 10})
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
	if keys := records[0].Header(parley.HeaderDataKeys); keys != `{"userId":"user_id"}` {
		t.Errorf("the keys of the payload are noted as %q", keys)
	}
	wantText(t, mustCall(t, ExitOK, "scheduled", "ls", flag), "a=b")
}

func TestPublishAndSendFollowTheKeyRulesOfTheSettings(t *testing.T) {
	flag := sqliteURL(t)
	rules := []string{flag, "--keys-ignore-keys=user_id", "--keys-ignore-fields=free_form"}
	const payload = `{"user_id": 1, "free_form": {"a_b": 2}}`
	mustCall(t, ExitOK, append(rules, "publish", "user", "renamed", "--payload", payload)...)
	mustCall(t, ExitOK, append(rules, "send", "sms", "", "--outbox", "--arguments", payload)...)
	b, err := openFlag(t, flag).Database().Claim(t.Context(), parley.ClaimOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range b.Records() {
		if !strings.Contains(string(r.Body), `{"user_id":1,"freeForm":{"a_b":2}`) {
			t.Errorf("%s: body %s does not follow the key rules", r.Kind, r.Body)
		}
	}
	if n := len(b.Records()); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
	if err := b.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPublishRefusesWhatCannotBeSent(t *testing.T) {
	for _, args := range []string{
		"publish user", "publish user renamed", "publish user renamed --payload {", "publish amq.topic renamed --payload {}",
		"publish user renamed --payload {} --tag a=b", "publish user renamed --payload {} --at soon", "send sms x --arguments []",
		`publish user renamed --payload {"a_b":1,"aB":2}`,
		"publish user renamed --payload {} --direct --at +1h", "tail",
	} {
		mustCall(t, ExitUsage, append(strings.Fields(args), "--database-url=sqlite:unused.db", "--broker-url=amqp://127.0.0.1")...)
	}
}

func TestPublishReportsNothingWhenTheCommitFails(t *testing.T) {
	address := testenv.Postgres(t)
	flag := "--database-url=" + address
	mustCall(t, ExitOK, "migrate", "up", flag)
	asOwner(t, address, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$;
			CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON parley_outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
		return err
	})
	for _, args := range [][]string{{"publish", "user", "renamed", "--payload={}", flag}, {"send", "sms", "x", "--arguments={}", "--outbox", flag}} {
		code, out, errs := call(t, args...)
		if code != ExitFailed || out != "" || !strings.Contains(errs, "refused at commit") {
			t.Errorf("%s: exit code %d, output %q and %q, want code %d and only the error", args[0], code, out, errs, ExitFailed)
		}
	}
}

func TestAWrongTimeNamesTheFlagThatHasIt(t *testing.T) {
	for _, text := range []string{"soon", "+soon", "+"} {
		wantText(t, mustCall(t, ExitUsage, "publish", "user", "renamed", "--payload={}", "--at", text), `--at "`+text+`" is neither`)
		wantText(t, mustCall(t, ExitUsage, "scheduled", "reschedule", "1", "--to", text), `--to "`+text+`" is neither`)
	}
	wantText(t, mustCall(t, ExitUsage, "scheduled", "reschedule", "1"), "give the time with --to")
}

func TestTailShowsWhatAnExchangeRoutesSafely(t *testing.T) {
	name, url := testenv.Unique(t, "parley_tail"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
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
		servicetest.Await(t, "the tail receives the message", func() error {
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
	wantText(t, mustCall(t, ExitFailed, "send", name, "unbound", "--arguments", "{}", "--broker-url="+url), "no queue bound")
	wantText(t, mustCall(t, ExitFailed, "tail", name+".missing", "--broker-url="+url), "no exchange")
}
