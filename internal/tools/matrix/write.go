//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// The table of the documentation stands between these lines.
const (
	tableBegin = "<!-- matrix: begin -->\n"
	tableEnd   = "<!-- matrix: end -->\n"
)

// writeTable replaces the table in a page, with the date and the command that made it.
func writeTable(page, command, table string, now time.Time) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	changed, err := replaceTable(string(text), command, table, now)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(changed), 0o644)
}

func replaceTable(text, command, table string, now time.Time) (string, error) {
	before, rest, begins := strings.Cut(text, tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the lines %q and %q are missing", tableBegin, tableEnd)
	}
	made := fmt.Sprintf("Made on %s by `%s`.\n\n", now.UTC().Format("2 January 2006"), command)
	return before + tableBegin + made + table + tableEnd + after, nil
}
