package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	hrefPattern = regexp.MustCompile(`\s(?:href|src|srcset)="([^"]*)"`) // a srcset has one file here, without a width
	idPattern   = regexp.MustCompile(`\sid="([^"]*)"`)
)

// checkLinks reads every page below dir. It returns the number of pages, and the links that lead to no file or to no anchor.
func checkLinks(dir string) (pages int, problems []string, err error) {
	texts := map[string]string{}
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".html" {
			return err
		}
		text, err := os.ReadFile(file)
		rel, relErr := filepath.Rel(dir, file)
		texts[filepath.ToSlash(rel)] = string(text)
		return errors.Join(err, relErr)
	})
	if err != nil {
		return 0, nil, err
	}
	for name, text := range texts {
		if name == "404.html" { // its links begin at the root of the host
			continue
		}
		for _, m := range hrefPattern.FindAllStringSubmatch(text, -1) {
			if problem := follow(dir, name, html.UnescapeString(m[1]), texts); problem != "" {
				problems = append(problems, problem)
			}
		}
	}
	slices.Sort(problems)
	return len(texts), slices.Compact(problems), nil
}

// checkSearch returns the pages below dir that the index of the search lacks.
func checkSearch(dir string) (problems []string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "search", "search_index.json"))
	if err != nil {
		return nil, err
	}
	var index struct {
		Docs []struct{ Location, Text string }
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("search_index.json: %w", err)
	}
	found := map[string]bool{}
	for _, d := range index.Docs {
		page, _, _ := strings.Cut(d.Location, "#")
		found[page] = found[page] || d.Text != ""
	}
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".html" && name != "404.html" && !found[name] {
			problems = append(problems, name+" is not in the index of the search")
		}
		return err
	})
	return problems, err
}

// follow returns what is wrong with a link, or "".
func follow(dir, name, link string, texts map[string]string) string {
	u, err := url.Parse(link)
	if err != nil {
		return fmt.Sprintf("%s: %q is no link: %v", name, link, err)
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	file := name
	if u.Path != "" {
		file = path.Join(path.Dir(name), u.Path)
	}
	if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(file))); err != nil || strings.HasPrefix(file, "..") {
		return fmt.Sprintf("%s links to %q, which does not exist", name, link)
	} else if info.IsDir() {
		file = path.Join(file, "index.html")
	}
	if u.Fragment == "" {
		return ""
	}
	for _, m := range idPattern.FindAllStringSubmatch(texts[file], -1) {
		if html.UnescapeString(m[1]) == u.Fragment {
			return ""
		}
	}
	return fmt.Sprintf("%s links to %q: %s has no such heading", name, link, file)
}

// writeVersions lists the versions in out, the newest first and dev last, and lets index.html lead to the first.
func writeVersions(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	type version struct {
		Version string   `json:"version"`
		Title   string   `json:"title"`
		Aliases []string `json:"aliases"`
	}
	list := []version{}
	for _, e := range entries {
		if e.IsDir() && versionPattern.MatchString(e.Name()) {
			list = append(list, version{e.Name(), e.Name(), []string{}})
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("%s has no versions", out)
	}
	slices.SortFunc(list, func(a, b version) int { return compare(b.Version, a.Version) })
	list[0].Aliases = []string{"latest"}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	redirect := fmt.Sprintf("<!doctype html><meta charset=utf-8><title>parley</title><meta http-equiv=refresh content=\"0; url=%[1]s/index.html\"><a href=\"%[1]s/index.html\">parley %[1]s</a>\n", list[0].Version)
	return errors.Join(os.WriteFile(filepath.Join(out, "versions.json"), text, 0o644), os.WriteFile(filepath.Join(out, "index.html"), []byte(redirect), 0o644))
}

// compare orders versions by their numbers; dev is before all of them.
func compare(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }

func numbers(version string) (out []int) {
	for part := range strings.SplitSeq(version, ".") {
		n := 0
		for _, r := range part {
			if r < '0' || r > '9' {
				return nil
			}
			n = 10*n + int(r-'0')
		}
		out = append(out, n)
	}
	return out
}
