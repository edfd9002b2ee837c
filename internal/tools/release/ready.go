package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	datePattern    = regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b`)
	chartPattern   = regexp.MustCompile(`(?m)^(?:version|appVersion): *"?([^"\s]+)"?`)
	waitingPattern = regexp.MustCompile(`(?i)there is no release yet|^not released`)
)

// notReady returns what has to be changed on main before the tags of a version are made: files that still say that it is not released.
func notReady(repo, version string) (problems []string, err error) {
	number := strings.TrimPrefix(version, "v")
	for _, c := range []struct {
		name string
		find func(text string) []string
	}{
		{"CHANGELOG.md", func(text string) []string {
			for line := range strings.Lines(text) {
				if headingOf(line, version) && !datePattern.MatchString(line) {
					return []string{fmt.Sprintf("the heading %q has no date", strings.TrimSpace(line))}
				}
			}
			return nil
		}},
		{"README.md", func(text string) (found []string) {
			for line := range strings.Lines(text) {
				if waitingPattern.MatchString(line) {
					found = append(found, fmt.Sprintf("%q is no longer true", strings.TrimSpace(line)))
				}
			}
			return found
		}},
		{filepath.Join("deploy", "helm", "parley", "Chart.yaml"), func(text string) (found []string) {
			for _, m := range chartPattern.FindAllStringSubmatch(text, -1) {
				if m[1] != number {
					found = append(found, fmt.Sprintf("%q is not the version %s", m[0], number))
				}
			}
			return found
		}},
	} {
		text, err := os.ReadFile(filepath.Join(repo, c.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, p := range c.find(string(text)) {
			problems = append(problems, filepath.ToSlash(c.name)+": "+p)
		}
	}
	return problems, nil
}

// headingOf reports whether a line of CHANGELOG.md is the heading of a version.
func headingOf(line, version string) bool {
	heading, ok := strings.CutPrefix(line, "## ")
	name, _, _ := strings.Cut(strings.Trim(strings.TrimSpace(heading), "[]"), " ")
	return ok && "v"+strings.TrimSuffix(name, "]") == version
}
