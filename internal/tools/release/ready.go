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

// A check finds what a file says that is not true of a release.
type check struct {
	file string
	find func(text, version string) []string
}

var checks = []check{
	{"CHANGELOG.md", withoutDate},
	{"README.md", waiting},
	{"SECURITY.md", waiting},
	{"deploy/helm/parley/Chart.yaml", otherVersion},
}

// notReady returns what has to be changed on main before the tags of a version are made.
func notReady(repo, version string) (problems []string, err error) {
	for _, c := range checks {
		text, err := os.ReadFile(filepath.Join(repo, filepath.FromSlash(c.file)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, p := range c.find(string(text), version) {
			problems = append(problems, c.file+": "+p)
		}
	}
	const workflow, signers = ".github/workflows/release.yml", ".github/allowed_signers"
	if exists(repo, workflow) && !exists(repo, signers) {
		problems = append(problems, signers+": there is no public key, so "+workflow+" would stop")
	}
	return problems, nil
}

func exists(repo, file string) bool {
	_, err := os.Stat(filepath.Join(repo, filepath.FromSlash(file)))
	return err == nil
}

func withoutDate(changelog, version string) []string {
	for line := range strings.Lines(changelog) {
		if headingOf(line, version) && !datePattern.MatchString(line) {
			return []string{fmt.Sprintf("the heading %q has no date", strings.TrimSpace(line))}
		}
	}
	return nil
}

func waiting(text, _ string) (found []string) {
	for line := range strings.Lines(text) {
		if waitingPattern.MatchString(line) {
			found = append(found, fmt.Sprintf("%q is no longer true", strings.TrimSpace(line)))
		}
	}
	return found
}

func otherVersion(chart, version string) (found []string) {
	number := strings.TrimPrefix(version, "v")
	for _, m := range chartPattern.FindAllStringSubmatch(chart, -1) {
		if m[1] != number {
			found = append(found, fmt.Sprintf("%q is not the version %s", m[0], number))
		}
	}
	return found
}

// headingOf reports whether a line of CHANGELOG.md is the heading of a version.
func headingOf(line, version string) bool {
	heading, ok := strings.CutPrefix(line, "## ")
	name, _, _ := strings.Cut(strings.Trim(strings.TrimSpace(heading), "[]"), " ")
	return ok && "v"+strings.TrimSuffix(name, "]") == version
}
