package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// parsed returns the options of a command line.
func parsed(t *testing.T, args ...string) (*Options, error) {
	t.Helper()
	var o Options
	c := &cobra.Command{}
	o.Add(c, "dot")
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return &o, o.Check()
}

type row struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

var rows = []row{{1, "plain"}, {20, "esc\x1b[2J \u202e: # 'x'"}, {3, "yes"}, {4, "two\nlines"}, {5, ""}, {6, "007"}}

// printed returns the rows in a format.
func printed(t *testing.T, n int, args ...string) string {
	t.Helper()
	o, err := parsed(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l := o.List(&out, Columns("ID", "TEXT", "|", "LENGTH")...)
	for _, r := range rows[:n] {
		if err := l.Add(r, fmt.Sprint(r.ID), r.Text, fmt.Sprint(len(r.Text))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestATableIsAlignedAndAWideOneHasMoreColumns(t *testing.T) {
	if got, want := printed(t, 1), "ID  TEXT\n1   plain\n"; got != want {
		t.Errorf("table:\n%q, want\n%q", got, want)
	}
	if got, want := printed(t, 2, "-o", "wide"), "ID  TEXT                      LENGTH\n1   plain                     5\n20  esc\\x1b[2J \\u202e: # 'x'  18\n"; got != want {
		t.Errorf("wide:\n%q, want\n%q", got, want)
	}
	if got := printed(t, 0); got != "" {
		t.Errorf("an empty table is %q", got)
	}
}

func TestATableWithoutRowsSaysSoAndFormatsForProgramsDoNot(t *testing.T) {
	for format, want := range map[string]string{Table: "no messages found\n", Wide: "no messages found\n", JSON: "", YAML: "[]\n"} {
		o, err := parsed(t, "-o", format)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := o.List(&out, Columns("ID")...).WhenEmpty("no messages found").Close(); err != nil || out.String() != want {
			t.Errorf("-o %s prints %q (%v), want %q", format, &out, err, want)
		}
	}
}

func TestJSONIsOneObjectPerLineAndJSONIsAnAlias(t *testing.T) {
	got := printed(t, len(rows), "-o", "json")
	if alias := printed(t, len(rows), "--json"); alias != got {
		t.Errorf("--json prints %q, -o json %q", alias, got)
	}
	for i, line := range strings.Split(strings.TrimSpace(got), "\n") {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil || r != rows[i] {
			t.Errorf("line %d is %q (%v), want %v", i, line, err, rows[i])
		}
	}
}

func TestYAMLIsOneListWithTheValuesOfTheJSON(t *testing.T) {
	got := printed(t, len(rows), "-o", "yaml")
	if strings.ContainsAny(got, "\x1b\u202e") {
		t.Errorf("YAML can steer the terminal: %q", got)
	}
	var list []struct {
		ID   int
		Text string
	}
	if err := yaml.Unmarshal([]byte(got), &list); err != nil || len(list) != len(rows) {
		t.Fatalf("%v in\n%s", err, got)
	}
	for i, r := range list {
		if r.Text != rows[i].Text || r.ID != rows[i].ID {
			t.Errorf("item %d is %+v, want %+v", i, r, rows[i])
		}
	}
	if got := printed(t, 0, "-o", "yaml"); got != "[]\n" {
		t.Errorf("an empty list is %q", got)
	}
}

func TestADocumentKeepsTheOrderOfItsMembers(t *testing.T) {
	o, err := parsed(t, "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := o.Document(&out, struct {
		B []string          `json:"b"`
		A float64           `json:"a"`
		C map[string]string `json:"c"`
		D any               `json:"d"`
	}{[]string{"x"}, 1.5, nil, []string{}}, nil); err != nil {
		t.Fatal(err)
	}
	if want := "b:\n  - x\na: 1.5\nc: null\nd: []\n"; out.String() != want {
		t.Errorf("got\n%s, want\n%s", &out, want)
	}
}

func TestAnUnknownFormatIsRefusedWithTheKnownOnes(t *testing.T) {
	for _, args := range [][]string{{"-o", "xml"}, {"-o", ""}, {"-o", "yaml", "--json"}} {
		if _, err := parsed(t, args...); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	_, err := parsed(t, "-o", "xml")
	if want := `-o "xml" is not a format (use table, wide, json, yaml, dot)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if o, err := parsed(t, "-o", "dot"); err != nil || o.Format() != "dot" || o.Structured() {
		t.Errorf("dot: %v, %v", o, err)
	}
}

func TestOnlyATerminalWithoutNoColorGetsColours(t *testing.T) {
	var out bytes.Buffer
	if StyleOf(&out) || StyleOf(os.Stdin) && os.Getenv("NO_COLOR") != "" {
		t.Error("a buffer gets colours")
	}
	if got := Style(true).Red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("red is %q", got)
	}
	if got := []string{Style(false).Bold("x"), Style(true).Green("")}; !reflect.DeepEqual(got, []string{"x", ""}) {
		t.Errorf("without colours: %q", got)
	}
}

func FuzzYAMLHasTheTextsOfTheJSON(f *testing.F) {
	for _, r := range rows {
		f.Add(r.Text)
	}
	f.Add("- a: [b]\t\u0085\U000E0001")
	f.Fuzz(func(t *testing.T, text string) {
		valid := strings.ToValidUTF8(text, "\uFFFD")
		var out bytes.Buffer
		if err := writeYAML(&out, map[string]string{"text": valid}, true); err != nil {
			t.Fatal(err)
		}
		var got []map[string]string
		if err := yaml.Unmarshal(out.Bytes(), &got); err != nil || len(got) != 1 || got[0]["text"] != valid {
			t.Errorf("%q is read as %q (%v) from %q", valid, got, err, &out)
		}
	})
}
