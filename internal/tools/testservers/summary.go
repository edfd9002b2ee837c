//go:build unix

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley/internal/testenv"
)

func printLocated(found []located) {
	for _, l := range found {
		fmt.Printf("%s %s at %s (%s)\n", l.Server.Name, l.Version, l.HostPort(), l.Origin)
	}
}

// summary lists which tests used which server, and which were skipped.
func summary(found []located, entries []testenv.LedgerEntry, command string, took time.Duration, err error) string {
	result := "passed"
	if err != nil {
		result = "FAILED (" + err.Error() + ")"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s %s in %s\n", command, result, took.Round(time.Second))
	for _, l := range found {
		tests := make(map[string]map[string]bool)
		for _, e := range entries {
			if e.Kind == "use" && e.Subject == l.Server.Name {
				add(tests, e.Package, e.Test)
			}
		}
		fmt.Fprintf(&b, "  %s %s at %s (%s): %s\n", l.Server.Name, l.Version, l.HostPort(), l.Origin, counted(tests))
	}
	skips := map[string]int{}
	for _, e := range entries {
		if e.Kind == "skip" {
			skips[e.Subject]++
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(skips)) {
		fmt.Fprintf(&b, "  skipped for want of %s: %d tests\n", variable, skips[variable])
	}
	for _, e := range entries {
		if e.Kind == "skip" {
			fmt.Fprintf(&b, "  skipped: %s %s: %s (set %s)\n", e.Package, e.Test, e.Detail, e.Subject)
		}
	}
	return b.String()
}

func add(tests map[string]map[string]bool, pkg, test string) {
	if tests[pkg] == nil {
		tests[pkg] = make(map[string]bool)
	}
	tests[pkg][test] = true
}

// counted returns the number of tests by package.
func counted(tests map[string]map[string]bool) string {
	if len(tests) == 0 {
		return "no test used it"
	}
	total := 0
	var parts []string
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		total += len(tests[pkg])
		parts = append(parts, fmt.Sprintf("%s %d", pkg, len(tests[pkg])))
	}
	return fmt.Sprintf("%d tests (%s)", total, strings.Join(parts, ", "))
}
