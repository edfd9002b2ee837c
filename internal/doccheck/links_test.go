package doccheck

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#{1,6} +(.*?)\s*$`)
	codeSpan       = regexp.MustCompile("`[^`\n]*`")
)

// links returns the targets within the repository that a document links to.
func (d *document) links() []string {
	var out []string
	for _, m := range linkPattern.FindAllStringSubmatch(codeSpan.ReplaceAllString(d.text, ""), -1) {
		if target := m[1]; !strings.Contains(target, "://") && !strings.HasPrefix(target, "mailto:") {
			out = append(out, target)
		}
	}
	return out
}

// resolve returns the file of a link, relative to the root, and the anchor in it.
func (d *document) resolve(target string) (file, anchor string) {
	file, anchor, _ = strings.Cut(target, "#")
	if file == "" {
		return d.path, anchor
	}
	return path.Join(path.Dir(d.path), file), anchor
}

// anchors returns the anchors of the headings of a document.
func (d *document) anchors() map[string]bool {
	out := map[string]bool{}
	for _, m := range headingPattern.FindAllStringSubmatch(d.text, -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(m[1]) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127:
				b.WriteRune(r)
			}
		}
		out[b.String()] = true
	}
	return out
}

func TestLinksLeadToFilesAndHeadingsThatExist(t *testing.T) {
	docs := documents(t)
	byPath := map[string]*document{}
	for i := range docs {
		byPath[docs[i].path] = &docs[i]
	}
	for i := range docs {
		for _, target := range docs[i].links() {
			file, anchor := docs[i].resolve(target)
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); err != nil || strings.HasPrefix(file, "..") {
				t.Errorf("%s links to %q: there is no such file", docs[i].path, target)
				continue
			}
			if to := byPath[file]; anchor != "" && to != nil && !to.anchors()[anchor] {
				t.Errorf("%s links to %q: %s has no such heading", docs[i].path, target, file)
			}
		}
	}
}

var sourcePattern = regexp.MustCompile("`([\\w/*.-]+\\.(?:go|yaml|json))`( \\(new\\))?")

// exampleDriver is the folder of the driver that docs/extending.md takes as its example.
const exampleDriver = "nats/"

func TestSourceFilesThatTheDocumentsNameExist(t *testing.T) {
	for _, d := range documents(t) {
		for _, m := range sourcePattern.FindAllStringSubmatch(d.text, -1) {
			file, isNew := m[1], m[2] != ""
			if isNew || strings.HasPrefix(file, exampleDriver) || strings.HasPrefix(file, "parley.") || file == "main.go" {
				continue // a file that the reader creates
			}
			found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(file)))
			if err != nil || len(found) == 0 {
				t.Errorf("%s names the file %s, which does not exist", d.path, file)
			}
		}
	}
}

func TestEveryDocumentCanBeReachedFromTheReadme(t *testing.T) {
	docs := documents(t)
	byPath := map[string]*document{}
	for i := range docs {
		byPath[docs[i].path] = &docs[i]
	}
	reached := map[string]bool{"README.md": true}
	for todo := []string{"README.md"}; len(todo) > 0; todo = todo[1:] {
		d := byPath[todo[0]]
		if d == nil {
			continue
		}
		for _, target := range d.links() {
			if file, _ := d.resolve(target); !reached[file] {
				reached[file] = true
				todo = append(todo, file)
			}
		}
	}
	for _, d := range docs {
		if strings.HasPrefix(d.path, "docs/") && !reached[d.path] {
			t.Errorf("%s cannot be reached from the README by links", d.path)
		}
	}
}

func TestTheReadmeShowsTheHelloExampleAsItIs(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "examples", "hello", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "\npackage main\n")
	want := "package main\n" + body
	for _, d := range documents(t) {
		if d.path != "README.md" {
			continue
		}
		for _, b := range d.blocks {
			if b.code == want {
				return
			}
		}
	}
	t.Error("README.md has no code block that equals examples/hello/main.go (copy it again)")
}

func TestThePackageDocumentationShowsTheHelloExampleAsItIs(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "examples", "hello", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "\npackage main\n")
	var want strings.Builder
	for line := range strings.Lines("package main\n" + body) {
		if line != "\n" {
			line = "\t" + line
		}
		want.WriteString("//" + line)
	}
	if !strings.Contains(string(doc), want.String()) {
		t.Error("doc.go does not contain examples/hello/main.go (copy it again)")
	}
}
