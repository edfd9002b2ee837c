package command

import (
	"strings"
	"testing"
)

func TestCommandsSeeTheFailedDeliveriesOfAllQueues(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	for _, consumer := range []string{"orders", "mail", "others"} {
		keep(t, s, consumer, parkedRow)
	}
	both := []string{flag, "--queues=orders,mail"}
	out := mustCall(t, ExitOK, append([]string{"parked", "ls"}, both...)...)
	wantText(t, out, "orders", "mail", "other consumers with failed deliveries: others")
	if n := strings.Count(out, "parked "); strings.Contains(out, "c3 ") {
		t.Errorf("the row of another service is listed (%d lines):\n%s", n, out)
	}
	out = mustCall(t, ExitOK, append([]string{"parked", "ls", "--queue=mail"}, both...)...)
	if strings.Contains(out, "c1 ") || !strings.Contains(out, "c2 ") {
		t.Errorf("--queue does not select the consumer of one queue:\n%s", out)
	}
	out = mustCall(t, ExitOK, append([]string{"check"}, both...)...)
	wantText(t, out, "orders", "mail", "others")
	code, _, errs := call(t, append([]string{"parked", "ls", "--queue=sms"}, both...)...)
	if code != ExitUsage {
		t.Errorf("exit code %d, want %d", code, ExitUsage)
	}
	wantText(t, errs, `"sms" is not one of queues (use one of: orders, mail)`)
}
