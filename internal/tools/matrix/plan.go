//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// A row is a set of servers and the suites that run against it.
type row struct {
	name string
	// system is a suite of Debian, or "host" for the installed packages.
	system string
	// quorum uses a virtual host whose default queue type is quorum; strict denies all deprecated features.
	quorum, strict bool
	suites         []string
}

var allSuites = []string{"rabbitmq", "postgres", "mysql", "service", "examples", "faults"}

// suitePackages are the packages of each suite, as arguments of go test.
var suitePackages = map[string][]string{
	"rabbitmq": {"./rabbitmq"},
	"postgres": {"./postgres"},
	"mysql":    {"./mysql"},
	"service":  {"./service/...", "./cmd/parley/..."},
	"examples": {"./examples/..."},
	"faults":   {"./faulttests"},
}

func rows() []row {
	return []row{
		{name: "host", system: "host", suites: allSuites},
		{name: "trixie", system: "trixie", suites: allSuites},
		{name: "sid", system: "sid", suites: allSuites},
		{name: "sid-quorum", system: "sid", quorum: true, suites: []string{"rabbitmq"}},
		{name: "sid-strict", system: "sid", strict: true, suites: []string{"rabbitmq"}},
	}
}

// plan returns the chosen rows with the chosen suites. An empty choice means all.
func plan(chosenRows, chosenSuites string) ([]row, error) {
	known := rows()
	for _, name := range split(chosenRows) {
		if !slices.ContainsFunc(known, func(r row) bool { return r.name == name }) {
			return nil, fmt.Errorf("there is no row %q", name)
		}
	}
	for _, name := range split(chosenSuites) {
		if suitePackages[name] == nil {
			return nil, fmt.Errorf("there is no suite %q", name)
		}
	}
	var out []row
	for _, r := range known {
		if chosenRows != "" && !slices.Contains(split(chosenRows), r.name) {
			continue
		}
		r.suites = slices.DeleteFunc(slices.Clone(r.suites), func(s string) bool {
			return chosenSuites != "" && !slices.Contains(split(chosenSuites), s)
		})
		if len(r.suites) > 0 {
			out = append(out, r)
		}
	}
	return out, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' })
}
