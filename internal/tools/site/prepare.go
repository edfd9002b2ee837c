package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// source is where files that are not part of the site are read.
const source = "https://github.com/parley-go/parley/blob/main/"

// roots are the documents outside of docs that become pages.
var roots = map[string]string{"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}

// prepare writes the pages for mkdocs into content, and returns the names of the examples.
func prepare(root, content string) (examples []string, err error) {
	pages := map[string]string{} // document: page
	for name, page := range roots {
		pages[name] = page
	}
	if err := documents(root, pages); err != nil {
		return nil, err
	}
	folders, err := os.ReadDir(filepath.Join(root, "examples"))
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if _, err := os.Stat(filepath.Join(root, "examples", f.Name(), "main.go")); err == nil {
			examples = append(examples, f.Name())
			pages["examples/"+f.Name()+"/main.go"] = "examples/" + f.Name() + ".md"
		}
	}
	for name, page := range pages {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		switch {
		case path.Ext(name) == ".md":
			text = []byte(convert(name, page, string(text), pages))
		case strings.HasPrefix(name, "examples/"):
			if text, err = example(root, path.Dir(name)); err != nil {
				return nil, err
			}
		}
		file := filepath.Join(content, filepath.FromSlash(page))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, text, 0o644)); err != nil {
			return nil, err
		}
	}
	return examples, nil
}

// documents adds the files below docs, also the pictures in its folders.
func documents(root string, pages map[string]string) error {
	docs := os.DirFS(filepath.Join(root, "docs"))
	return fs.WalkDir(docs, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			pages["docs/"+name] = name
		}
		return err
	})
}

// unlisted returns the pages that the navigation of mkdocs.yml lacks: mkdocs only notes them, and readers would not find them.
func unlisted(config string, content string) (problems []string, err error) {
	names, err := filepath.Glob(filepath.Join(content, "*.md"))
	for _, name := range names {
		if page := filepath.Base(name); !strings.Contains(config, ": "+page+"\n") {
			problems = append(problems, "site/mkdocs.yml: nav lacks "+page)
		}
	}
	return problems, err
}

var (
	linkPattern  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fencePattern = regexp.MustCompile("^```(\\w*).*$")
	itemPattern  = regexp.MustCompile(`^(?:[-*]|\d+\.) `)
)

// convert adapts a document, which is written for GitHub, to mkdocs: links lead to pages of the site or to the source, a list begins after an empty
// line, and the line of a fence has only the language.
func convert(name, page, text string, pages map[string]string) string {
	var out strings.Builder
	inCode, last := false, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := fencePattern.FindStringSubmatch(line); m != nil {
			line, inCode = "```"+m[1], !inCode
		} else if !inCode {
			line = linkPattern.ReplaceAllStringFunc(line, func(link string) string {
				return "](" + target(name, page, link[2:len(link)-1], pages) + ")"
			})
			if itemPattern.MatchString(line) && last != "" && !itemPattern.MatchString(last) && !strings.HasPrefix(last, " ") {
				out.WriteByte('\n')
			}
		}
		out.WriteString(line + "\n")
		last = line
	}
	return out.String()
}

// target returns the link of a page for the link of a document.
func target(name, page, link string, pages map[string]string) string {
	file, anchor, hasAnchor := strings.Cut(link, "#")
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") || file == "" {
		return link
	}
	full := path.Join(path.Dir(name), file)
	to, isPage := pages[full]
	if !isPage {
		return source + full
	}
	up := strings.Repeat("../", strings.Count(page, "/"))
	if hasAnchor {
		return up + to + "#" + anchor
	}
	return up + to
}

// example returns a page with all Go files of an example.
func example(root, folder string) ([]byte, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "# Example: %s\n\nRun it in a clone: `go run ./%s`. The source is in [%s](%s%s).\n", path.Base(folder), folder, folder, source, folder)
	err := filepath.WalkDir(filepath.Join(root, folder), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(filepath.Join(root, folder), file)
		fmt.Fprintf(&out, "\n## %s\n\n```go\n%s```\n", filepath.ToSlash(rel), text)
		return err
	})
	return []byte(out.String()), err
}
