package doccheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A word that readers had to guess, and what to write instead.
type word struct {
	pattern *regexp.Regexp
	instead string
}

func ban(pattern, instead string) word {
	return word{regexp.MustCompile(`(?i)\b(?:` + pattern + `)\b`), instead}
}

// words is the part of the rules of language that a machine can check.
var words = []word{
	ban(`(?:is|are|was|were|be|been|being|goes|went|gone|stays?|stayed) away`, "unreachable, or connection lost"),
	ban(`for ever|forever`, "indefinitely"),
	ban(`tells? (?:that|whether|if)`, "reports whether"),
	ban(`somebody|someone|nobody|anybody|anyone`, "the subject by its name: another process, an operator, no queue"),
	ban(`mends?|mended|mending`, "hint, fix or repair"),
	ban(`(?:is|was|be|are) owed|what it owes`, "confirmed but not yet deleted"),
	ban(`forgiv(?:e|es|en|ing)`, "reset"),
	ban(`asks? again|comes? back|came back|coming back`, "reconnect, resubscribe, retry or return"),
	ban(`its turn|lets? go|in vain|by itself alone|with manners`, "the field's word"),
	ban(`what nobody|who has left|what no queue`, "a named subject"),
	ban(`refuse[sd]? twice`, "duplicate registration panics"),
	ban(`quick retr(?:y|ies)`, "immediate retries"),
	ban(`delay queues?`, "retry queue"),
}

// anyWord matches each text that one of the words matches: most files have none of them.
var anyWord = func() *regexp.Regexp {
	var all []string
	for _, w := range words {
		all = append(all, w.pattern.String())
	}
	return regexp.MustCompile(strings.Join(all, "|"))
}()

// allowedWords are places where a word of the list is right, each with the reason. An empty path means every file.
var allowedWords = []struct{ path, text, why string }{
	{"internal/doccheck/words_test.go", "", "the list itself"},
	{"", "http.NoBody", "a name of package net/http"},
}

func TestTheTextUsesTheFieldsWords(t *testing.T) {
	used := make([]bool, len(allowedWords))
	found, read := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", ".bin"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		path, err = filepath.Rel(root, path)
		if err != nil || !hasSentences(filepath.ToSlash(path)) {
			return err
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		read++
		if !anyWord.Match(text) {
			return nil
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			for _, w := range words {
				match := w.pattern.FindString(line)
				if match == "" || isAllowed(filepath.ToSlash(path), line, used) {
					continue
				}
				found++
				t.Errorf("%s:%d: %q: write %s\n\t%s", path, number, match, w.instead, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil || read < 500 {
		t.Fatalf("read %d files (%v)", read, err)
	}
	for i, a := range allowedWords {
		if !used[i] {
			t.Errorf("%s does not need %q any more: remove it from the list", a.path, a.text)
		}
	}
	if found > 0 {
		t.Logf("%d places; a place where the word is right goes into allowedWords, with the reason", found)
	}
}

func isAllowed(path, line string, used []bool) bool {
	for i, a := range allowedWords {
		if (a.path == path || a.path == "") && strings.Contains(line, a.text) {
			used[i] = true
			return true
		}
	}
	return false
}

// hasSentences reports whether a file has sentences of ours.
func hasSentences(path string) bool {
	if strings.Contains(path, "testdata/") {
		return false // messages and settings of others
	}
	switch filepath.Ext(path) {
	case ".go", ".md", ".yaml", ".yml", ".sh", ".sql", ".tmpl":
		return true
	}
	return path == "Makefile" || strings.HasPrefix(path, ".ci/")
}
