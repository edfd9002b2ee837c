//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// The table of the documentation stands between these lines.
const (
	tableBegin = "<!-- matrix: begin -->\n"
	tableEnd   = "<!-- matrix: end -->\n"
)

// writeTable puts the lines of this run into the table in a page.
func writeTable(page string, newer []string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	changed, err := replaceTable(string(text), newer)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(changed), 0o644)
}

func replaceTable(text string, newer []string) (string, error) {
	before, rest, begins := strings.Cut(text, tableBegin)
	earlier, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the lines %q and %q are missing", tableBegin, tableEnd)
	}
	merged := merge(slices.Collect(strings.Lines(earlier)), newer)
	return before + tableBegin + tableHead + strings.Join(merged, "") + tableEnd + after, nil
}
