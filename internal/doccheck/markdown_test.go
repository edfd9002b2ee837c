// Package doccheck checks the documents of this repository against its code: links, Go code,
// settings files, commands, flags, variables and the names of tests.
package doccheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the path of the repository from this folder.
const root = "../.."

// A document is one Markdown file.
type document struct {
	path   string // relative to the root, with slashes
	text   string // without the code blocks
	blocks []block
}

// A block is a fenced code block.
type block struct {
	path string
	line int    // number of its first line of code
	lang string // the first word after the fence
	info string // the other words
	code string
}

// attribute returns the value of name=value, or of name="a value", in the info string.
func (b *block) attribute(name string) string {
	m := regexp.MustCompile(`\b` + name + `=(?:"([^"]*)"|(\S+))`).FindStringSubmatch(b.info)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

// documents reads every Markdown file of the repository.
func documents(t *testing.T) []document {
	t.Helper()
	var docs []document
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		docs = append(docs, parse(filepath.ToSlash(rel), string(text)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) == 0 {
		t.Fatal("found no documents (is root correct?)")
	}
	return docs
}

// parse separates the fenced code blocks from the text of a document.
func parse(path, text string) document {
	d := document{path: path}
	var plain strings.Builder
	var open *block
	var code strings.Builder
	for i, line := range strings.SplitAfter(text, "\n") {
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence && open == nil:
			info := strings.TrimSpace(strings.TrimPrefix(line, "```"))
			lang, rest, _ := strings.Cut(info, " ")
			open = &block{path: path, line: i + 2, lang: lang, info: rest}
		case fence:
			open.code = code.String()
			d.blocks = append(d.blocks, *open)
			open = nil
			code.Reset()
		case open != nil:
			code.WriteString(line)
		default:
			plain.WriteString(line)
		}
	}
	d.text = plain.String()
	return d
}

func TestCodeBlocksAreTakenOutOfTheText(t *testing.T) {
	d := parse("x.md", "a\n```go file=main.go until=\"b c\"\nx := 1\n```\nb\n")
	if d.text != "a\nb\n" || len(d.blocks) != 1 {
		t.Fatalf("got %+v", d)
	}
	b := d.blocks[0]
	if b.lang != "go" || b.code != "x := 1\n" || b.line != 3 || b.attribute("file") != "main.go" || b.attribute("until") != "b c" {
		t.Errorf("got %+v", b)
	}
}
