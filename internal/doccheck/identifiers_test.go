package doccheck

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-go/parley/service/settings"
)

var identifierPattern = regexp.MustCompile(`\b(parley|memory|parleytest|postgres|mysql|sqlite|rabbitmq|rest|service|otelparley)\.([A-Z]\w*)`)

func TestIdentifiersThatTheDocumentsNameExist(t *testing.T) {
	exported := map[string]map[string]bool{}
	for _, d := range documents(t) {
		for _, span := range codeSpan.FindAllString(d.text, -1) {
			for _, m := range identifierPattern.FindAllStringSubmatch(span, -1) {
				if exported[m[1]] == nil {
					exported[m[1]] = names(t, m[1])
				}
				if !exported[m[1]][m[2]] {
					t.Errorf("%s names %s.%s, which does not exist", d.path, m[1], m[2])
				}
			}
		}
	}
}

// names returns the top-level declarations of a package of this module.
func names(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	folder := filepath.Join(root, pkg)
	if pkg == "parley" {
		folder = root
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("package %s: no files (%v)", pkg, err)
	}
	out := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for name := range declares(f) {
			out[name] = true
		}
	}
	return out
}

var settingPattern = regexp.MustCompile("^`((?:broker|database|relay|consumer|inbox|telemetry|rest|http|log)\\.[a-z_.]+)`$")

// renamedPattern matches a row of the table of old names in docs/operations.md.
var renamedPattern = regexp.MustCompile("(?m)^\\| `([a-z]+\\.[a-z_]+)` \\| `[a-z]+\\.[a-z_]+`[^|]*\\|$")

func TestSettingsThatTheDocumentsNameExist(t *testing.T) {
	text, err := settings.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	settingsOf(schema, "", known)
	renamed := map[string]bool{}
	for _, d := range documents(t) {
		for _, row := range renamedPattern.FindAllStringSubmatch(d.text, -1) {
			renamed[row[1]] = true
		}
	}
	for _, d := range documents(t) {
		for _, span := range codeSpan.FindAllString(d.text, -1) {
			m := settingPattern.FindStringSubmatch(span)
			if m != nil && !renamed[m[1]] && !strings.HasSuffix(m[1], ".go") && !known["_"+strings.ToUpper(strings.ReplaceAll(m[1], ".", "_"))] {
				t.Errorf("%s names the setting %s, which does not exist", d.path, m[1])
			}
		}
	}
}

// docs/design.md has a line for each module that the code imports.
func TestEveryDependencyHasItsLine(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-test", "-f", `{{if not .Standard}}{{range .Imports}}{{.}}{{"\n"}}{{end}}{{end}}`, "work")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	design := ""
	for _, d := range documents(t) {
		if d.path == "docs/design.md" {
			design = d.text
		}
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9]+\\.[a-z0-9.]+/[^`]*)`").FindAllStringSubmatch(design, -1) {
		listed[m[1]] = true
	}
	missing := map[string]bool{}
	for imported := range strings.FieldsSeq(string(out)) {
		own := strings.HasPrefix(imported, "[") || strings.HasPrefix(imported, "github.com/parley-go/parley")
		if strings.Contains(strings.Split(imported, "/")[0], ".") && !own && !covered(listed, imported) && !missing[imported] {
			missing[imported] = true
			t.Errorf("docs/design.md does not state what %s saves", imported)
		}
	}
}

func covered(listed map[string]bool, imported string) bool {
	for module := range listed {
		if imported == module || strings.HasPrefix(imported, module+"/") {
			return true
		}
	}
	return false
}
