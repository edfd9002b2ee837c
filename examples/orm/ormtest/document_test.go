package ormtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTheDocumentShowsTheTestedCode(t *testing.T) {
	document, err := os.ReadFile("../../../docs/orm.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../with*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("found the files %q (%v)", files, err)
	}
	var code strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	blocks := regexp.MustCompile("(?s)```go fragment\n(.*?)```").FindAllSubmatch(document, -1)
	if len(blocks) < 8 {
		t.Errorf("found %d blocks of Go code in docs/orm.md", len(blocks))
	}
	for _, block := range blocks {
		for part := range strings.SplitSeq(string(block[1]), "\n}\n") {
			if part = strings.TrimSpace(part); part != "" && !strings.Contains(code.String(), part) {
				t.Errorf("docs/orm.md shows code that is in no tested file:\n%s", part)
			}
		}
	}
}
