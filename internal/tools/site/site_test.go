package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLinksOfADocumentLeadToPagesOrToTheSource(t *testing.T) {
	pages := map[string]string{"README.md": "index.md", "docs/wire.md": "wire.md", "docs/a.svg": "a.svg", "examples/hello/main.go": "examples/hello.md"}
	for _, c := range []struct{ name, page, link, want string }{
		{"README.md", "index.md", "docs/wire.md#names", "wire.md#names"},
		{"docs/wire.md", "wire.md", "../README.md", "index.md"},
		{"docs/wire.md", "wire.md", "a.svg", "a.svg"},
		{"docs/wire.md", "wire.md", "#names", "#names"},
		{"docs/wire.md", "wire.md", "../otelparley/alerts.yaml", source + "otelparley/alerts.yaml"},
		{"docs/wire.md", "wire.md", "https://example.com/a", "https://example.com/a"},
		{"examples/x.md", "examples/x.md", "hello/main.go", "../examples/hello.md"},
	} {
		if got := target(c.name, c.page, c.link, pages); got != c.want {
			t.Errorf("%s in %s becomes %s, want %s", c.link, c.name, got, c.want)
		}
	}
}

func TestADocumentIsConvertedForMkdocs(t *testing.T) {
	got := convert("README.md", "index.md", "Text:\n- one\n- two\n  more [a](docs/a.md)\n```sh fragment\n- [x](y)\n```\n", map[string]string{"docs/a.md": "a.md"})
	if want := "Text:\n\n- one\n- two\n  more [a](a.md)\n```sh\n- [x](y)\n```\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALinkToNoFileOrToNoHeadingIsFound(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a.html":     `<h1 id="one"></h1><a href="sub/b.html#two">b</a><a href="#one">1</a><img src="x.svg"><a href="https://example.com/no">x</a>`,
		"sub/b.html": `<p id="two"></p><a href="../a.html#gone">a</a><a href="../c.html">c</a>`,
		"x.svg":      "",
	})
	pages, problems, err := checkLinks(dir)
	if err != nil || pages != 2 {
		t.Fatalf("%d pages (%v)", pages, err)
	}
	if text := strings.Join(problems, "\n"); len(problems) != 2 || !strings.Contains(text, `"../a.html#gone"`) || !strings.Contains(text, `"../c.html"`) {
		t.Errorf("got %q", problems)
	}
}

func TestAPictureForDarkScreensIsALink(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.html": `<picture><source srcset="p/dark.png"><img src="p/light.png"></picture>`, "p/light.png": ""})
	if _, problems, err := checkLinks(dir); err != nil || len(problems) != 1 || !strings.Contains(problems[0], `"p/dark.png"`) {
		t.Errorf("got %q (%v)", problems, err)
	}
}

func TestPicturesInFoldersOfDocsArePartOfTheSite(t *testing.T) {
	root, content := t.TempDir(), filepath.Join(t.TempDir(), "content")
	write(t, root, map[string]string{
		"README.md": "# m\n", "CHANGELOG.md": "", "CONTRIBUTING.md": "", "SECURITY.md": "", "docs/console.md": "![a](console/a.png)\n", "docs/console/a.png": "picture",
		"examples/hello/main.go": "package main\n",
	})
	if examples, err := prepare(root, content); err != nil || len(examples) != 1 {
		t.Fatalf("got the examples %q (%v)", examples, err)
	}
	if got, err := os.ReadFile(filepath.Join(content, "console", "a.png")); err != nil || string(got) != "picture" {
		t.Errorf("the picture is %q (%v)", got, err)
	}
	problems, err := unlisted("nav:\n  - parley: index.md\n  - Changelog: changelog.md\n  - C: contributing.md\n  - S: security.md\n", content)
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0], "nav lacks console.md") {
		t.Errorf("got %q (%v)", problems, err)
	}
}

func TestAPageThatTheSearchDoesNotFindIsReported(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a.html": "", "sub/b.html": "", "c.html": "", "404.html": "",
		"search/search_index.json": `{"docs": [{"location": "a.html", "text": ""}, {"location": "a.html#one", "text": "one"}, {"location": "c.html", "text": ""}]}`,
	})
	problems, err := checkSearch(dir)
	if text := strings.Join(problems, "\n"); err != nil || len(problems) != 2 || !strings.Contains(text, "sub/b.html is") || !strings.Contains(text, "c.html is") {
		t.Errorf("got %q (%v)", problems, err)
	}
}

func TestTheNewestVersionIsTheFirst(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"dev", "0.9.0", "0.10.0", "other"} {
		write(t, dir, map[string]string{name + "/index.html": ""})
	}
	if err := writeVersions(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "versions.json"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) int { return strings.Index(string(text), `"version":"`+s+`"`) }
	if !(at("0.10.0") < at("0.9.0") && at("0.9.0") < at("dev") && at("other") < 0) {
		t.Errorf("got %s", text)
	}
	index, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil || !strings.Contains(string(index), "0.10.0/index.html") {
		t.Errorf("index.html: %s (%v)", index, err)
	}
}

func TestAVersionOfTheSiteIsCheckedFirst(t *testing.T) {
	for _, version := range []string{"", "..", "v0.1.0", "0.1"} {
		if err := build(t.Context(), ".", t.TempDir(), version); err == nil || !strings.Contains(err.Error(), "neither dev nor") {
			t.Errorf("%q: %v", version, err)
		}
	}
}
