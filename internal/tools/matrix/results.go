//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A result is a line of the table.
type result struct {
	row, servers, suite     string
	passed, skipped, failed int
	seconds                 float64
	// failures are the tests and packages that failed; output is what they printed.
	failures []string
	output   strings.Builder
}

// read counts the top-level tests in the output of go test -json. A package that fails without
// a failed test (it does not build, or it timed out) counts as one failure.
func (r *result) read(in io.Reader) error {
	failedTests := map[string]bool{}
	printed := map[string]*strings.Builder{} // by package and top-level test
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(scan.Bytes(), &e) != nil {
			continue // text of go itself
		}
		top, sub, _ := strings.Cut(e.Test, "/")
		key := e.Package + " " + top
		if printed[key] == nil {
			printed[key] = &strings.Builder{}
		}
		switch {
		case e.Action == "output":
			printed[key].WriteString(e.Output)
		case top == "" && e.Action == "fail" && !failedTests[e.Package]:
			r.fail(e.Package+" (build, timeout or end of the process)", printed[key])
		case top == "" || sub != "":
		case e.Action == "pass":
			r.passed++
		case e.Action == "skip":
			r.skipped++
		case e.Action == "fail":
			failedTests[e.Package] = true
			r.fail(key, printed[key])
		}
	}
	return scan.Err()
}

// shownOutput is how many bytes of a failed test's output are shown, of its beginning and of its end: the cause may be at either.
const shownOutput = 4 << 10

func (r *result) fail(what string, printed *strings.Builder) {
	r.failed++
	r.failures = append(r.failures, what)
	text := printed.String()
	if len(text) > 2*shownOutput {
		text = text[:shownOutput] + "\n…\n" + text[len(text)-shownOutput:]
	}
	fmt.Fprintf(&r.output, "--- %s %s: %s\n%s\n", r.row, r.suite, what, text)
}

const tableHead = "| row | servers | suite | passed | skipped | failed | seconds | date |\n| --- | --- | --- | ---: | ---: | ---: | ---: | --- |\n"

// lines returns the lines of the table, which were made at this time.
func lines(results []*result, now time.Time) (out []string) {
	for _, r := range results {
		out = append(out, fmt.Sprintf("| %s | %s | %s | %d | %d | %d | %.0f | %s |\n", r.row, r.servers, r.suite, r.passed, r.skipped, r.failed, r.seconds, now.UTC().Format(time.DateOnly)))
	}
	return out
}

// merge returns the lines of an earlier table with the newer lines in their places, in the order of the rows and suites.
func merge(earlier, newer []string) (out []string) {
	kept := map[string]string{}
	for _, line := range slices.Concat(earlier, newer) {
		if row, suite, ok := lineOf(line); ok {
			kept[row+" "+suite] = line
		}
	}
	for _, r := range rows() {
		for _, suite := range r.suites {
			if line, ok := kept[r.name+" "+suite]; ok {
				out = append(out, line)
			}
		}
	}
	return out
}

// lineOf returns the row and the suite of a line of the table.
func lineOf(line string) (row, suite string, ok bool) {
	cells := strings.Split(line, "|")
	if len(cells) != 10 {
		return "", "", false
	}
	return strings.TrimSpace(cells[1]), strings.TrimSpace(cells[3]), true
}
