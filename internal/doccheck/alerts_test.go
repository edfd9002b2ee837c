package doccheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

func TestAlertsFireWhenTheyAreNeeded(t *testing.T) {
	const variable = "PARLEY_TEST_PROMTOOL"
	promtool := os.Getenv(variable)
	if promtool == "" {
		var err error
		if promtool, err = exec.LookPath("promtool"); err != nil {
			testenv.Skip(t, variable, "no promtool (Debian package prometheus)")
		}
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = filepath.Join(root, "otelparley")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func TestEachAlertHasASeverityACaseAndALinkIntoTheRunbook(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	cases := read("otelparley/alerts_test.yaml")
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(read("docs/operations.md"), -1) {
		anchors[strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")] = true
	}
	alerts := strings.Split(read("otelparley/alerts.yaml"), "- alert: ")[1:]
	if len(alerts) < 10 {
		t.Fatalf("%d alerts found", len(alerts))
	}
	link := regexp.MustCompile(`runbook_url: https://github\.com/parley-go/parley/blob/main/docs/operations\.md#(\S+)`)
	for _, alert := range alerts {
		name, _, _ := strings.Cut(alert, "\n")
		if !strings.Contains(alert, "labels: {severity: critical}") && !strings.Contains(alert, "labels: {severity: warning}") {
			t.Errorf("%s has no severity", name)
		}
		if !strings.Contains(cases, "alertname: "+name+",") {
			t.Errorf("%s has no case in alerts_test.yaml", name)
		}
		if m := link.FindStringSubmatch(alert); m == nil || !anchors[m[1]] {
			t.Errorf("%s has no link to a heading of docs/operations.md: %q", name, m)
		}
	}
}
