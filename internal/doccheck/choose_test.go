package doccheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/choose.md compares parley with others. Each row that says what parley does names an identifier or a document, which other tests check, or says that it is missing.
func TestEachClaimOfTheComparisonNamesItsProof(t *testing.T) {
	doc := documentAt(t, "docs/choose.md")
	_, table, found := strings.Cut(doc.text, "| Task | Watermill | River | parley |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/choose.md has no table of tasks")
	}
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			break
		}
		rows++
		claim := strings.TrimSpace(cells[3])
		honest := strings.HasPrefix(claim, "not yet") || claim == "new"
		if proof := linkPattern.MatchString(claim) || identifierPattern.MatchString(claim); !proof && !honest {
			t.Errorf("docs/choose.md claims %q for parley without an example, a document or an identifier", claim)
		}
	}
	if rows < 8 {
		t.Errorf("the table of tasks has %d rows", rows)
	}
}

// The versions of Watermill are those that the benchmarks run.
func TestTheComparisonNamesTheVersionsThatTheBenchmarksRun(t *testing.T) {
	goMod, err := os.ReadFile(filepath.Join(root, "benchmarks", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text := documentAt(t, "docs/choose.md").text
	for pattern, form := range map[string]string{
		`ThreeDotsLabs/watermill v(\d+\.\d+)\.`:        "Watermill %s with",
		`ThreeDotsLabs/watermill-amqp/v3 v(\d+)\.`:     "`watermill-amqp` %s",
		`ThreeDotsLabs/watermill-sql/v4 v(\d+)\.\d+\.`: "`watermill-sql` %s",
	} {
		m := regexp.MustCompile(pattern).FindSubmatch(goMod)
		if m == nil {
			t.Errorf("benchmarks/go.mod does not match %s", pattern)
			continue
		}
		if want := strings.Replace(form, "%s", string(m[1]), 1); !strings.Contains(text, want) {
			t.Errorf("docs/choose.md does not contain %q", want)
		}
	}
}

func documentAt(t *testing.T, path string) document {
	t.Helper()
	for _, d := range documents(t) {
		if d.path == path {
			return d
		}
	}
	t.Fatalf("there is no %s", path)
	return document{}
}
