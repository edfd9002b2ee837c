package command

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

func TestEveryListingHasTheFormats(t *testing.T) {
	names := map[string]bool{"ls": true, "show": true, "status": true, "routes": true, "plan": true, "doctor": true, "check": true, "tail": true, "log": true, "pauses": true, "groups": true}
	found := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if !names[c.Name()] || c.CommandPath() == "svc settings check" {
			return
		}
		found++
		if f := c.Flags().Lookup("output"); f == nil || f.Shorthand != "o" || c.Flags().Lookup("json") == nil || !strings.Contains(f.Usage, "table, wide, json, yaml") {
			t.Errorf("%q lacks -o table|wide|json|yaml or --json", c.CommandPath())
		}
	}
	walk(New("svc", func(*service.Service) error { return nil }))
	if found < 15 {
		t.Errorf("found %d listings, want at least 15 (does the list of names still fit?)", found)
	}
}

func TestListingsPrintEveryFormat(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	keep(t, s, "orders", kept{state: parley.FailureParked, key: "k7"})
	for args, want := range map[string][3]string{
		"parked ls":      {"FINGERPRINT", `"key":"k7"`, "- app_id: "},
		"parked show c1": {"failed attempts", `"holds_key":false`, "history:\n  attempts: 3"},
		"migrate status": {"VERSION  NAME", `"state":"applied"`, "- name: "},
		"settings show":  {"database.url", `"key":"database.url"`, "- key: "},
		"doctor":         {"fine ", `"verdict":"`, "- verdict: "},
		"check":          {"due 0", `"healthy":true`, "healthy: true"},
		"status":         {"Relay", `"relay":{`, "relay:\n  leader: "},
	} {
		for i, format := range []string{"wide", "json", "yaml"} {
			_, out, errs := call(t, append(strings.Fields(args), flag, "-o", format)...)
			if !strings.Contains(out, want[i]) {
				t.Errorf("%s -o %s lacks %q:\n%s%s", args, format, want[i], out, errs)
			}
		}
	}
}
