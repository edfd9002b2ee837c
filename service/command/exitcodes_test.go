package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

func TestTheTableOfExitCodesIsThatOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "| Command | 0 | 1 | 2 |\n|---|---|---|---|\n"
	for i, m := range exitMeanings {
		if i > 0 {
			m.command = "`" + strings.ReplaceAll(m.command, ", ", "`, `") + "`"
		}
		line := fmt.Sprintf("| %s | %s | %s | %s |\n", m.command, m.ok, m.failed, m.usage)
		want += strings.ReplaceAll(line, "--yes", "`--yes`")
	}
	if !strings.Contains(string(text), want) {
		t.Errorf("docs/operations.md lacks this table:\n%s", want)
	}
	_, help, _ := call(t, "help", "exit-codes")
	wantText(t, help, "migrate status", "a migration is pending")
}

func TestEveryExitCodeOfTheTableIsReal(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	none := "--database-url=sqlite:" + filepath.Join(t.TempDir(), "none.db")
	dead := "--broker-url=amqp://127.0.0.1:1/"
	id := keep(t, s, "orders", kept{state: parley.FailureParked, kind: parley.KindEvent, body: `{"eventId": 1, "payload": {"id": 1}}`})[0]
	publish(t, s, renamed, 1)
	name := testenv.Unique(t, "parley_exit")
	rabbit := "--broker-url=" + testenv.RabbitMQ(t)
	t.Setenv("EDITOR", "true")
	for _, tt := range []struct {
		code int
		args string
	}{
		{0, "check --max-delay=1h " + flag}, {1, "check --max-delay=0s " + flag}, {2, "check " + none}, {2, "check"},
		{0, "status " + flag}, {1, "status " + none}, {2, "status"},
		{0, "doctor --broker-url=memory:"}, {1, "doctor " + none}, {2, "doctor --no-such-flag"},
		{0, "migrate status " + flag}, {1, "migrate status " + none}, {2, "migrate status"},
		{0, "topology plan " + rabbit + " --exchanges=amq.topic"}, {1, "topology plan " + rabbit + " --queue=" + name}, {2, "topology plan"},
		{0, "settings check " + flag}, {2, "settings check --relay-mode=x"},
		{1, "send " + name + " x --arguments={} " + rabbit}, {1, "publish " + name + " x --direct --payload={} --timeout=300ms " + dead}, {2, "send"},
		{1, "parked replay c999 " + flag}, {2, "parked replay " + flag}, {2, "parked drop --all " + flag},
		{0, "parked edit " + id + " " + flag}, {1, "parked edit c999 " + flag}, {2, "parked edit " + flag},
		{0, "scheduled cancel --exchange=a --routing-key=b --tag=c=d " + flag}, {1, "scheduled cancel 999 " + flag}, {2, "scheduled cancel " + flag},
		{0, "parked drop --yes " + id + " " + flag},
	} {
		if code, out, errs := call(t, strings.Fields(tt.args)...); code != tt.code {
			t.Errorf("parley %s: exit code %d, want %d\n%s%s", tt.args, code, tt.code, out, errs)
		}
	}
}
