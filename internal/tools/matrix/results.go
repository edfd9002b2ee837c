//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// A result is a line of the table.
type result struct {
	row, servers, suite     string
	passed, skipped, failed int
	seconds                 float64
	// failures are the tests and packages that failed.
	failures []string
}

// read counts the top-level tests in the output of go test -json. A package that fails without
// a failed test (it does not build, or it timed out) counts as one failure.
func (r *result) read(in io.Reader) error {
	failedTests := map[string]bool{}
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var e struct{ Action, Package, Test string }
		if json.Unmarshal(scan.Bytes(), &e) != nil {
			continue // text of go itself
		}
		switch {
		case e.Test == "" && e.Action == "fail" && !failedTests[e.Package]:
			r.failed++
			r.failures = append(r.failures, e.Package+" (build, timeout or end of the process)")
		case e.Test == "" || strings.Contains(e.Test, "/"):
		case e.Action == "pass":
			r.passed++
		case e.Action == "skip":
			r.skipped++
		case e.Action == "fail":
			failedTests[e.Package] = true
			r.failed++
			r.failures = append(r.failures, e.Package+" "+e.Test)
		}
	}
	return scan.Err()
}

func table(results []result) string {
	var b strings.Builder
	b.WriteString("| row | servers | suite | passed | skipped | failed | seconds |\n| --- | --- | --- | ---: | ---: | ---: | ---: |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d | %d | %.0f |\n", r.row, r.servers, r.suite, r.passed, r.skipped, r.failed, r.seconds)
	}
	return b.String()
}
