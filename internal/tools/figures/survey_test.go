package main

import (
	"strings"
	"testing"
)

func TestTheSurveyFindsTheLongestFunctionAndFilesWithoutATest(t *testing.T) {
	got, err := survey(checkout(t))
	if err != nil {
		t.Fatal(err)
	}
	if got.longest != 4 || got.longestName != "m" {
		t.Errorf("the longest function is %s with %d lines, want m with 4", got.longestName, got.longest)
	}
	if strings.Join(got.untested, " ") != "b.go c.go" {
		t.Errorf("without a test file are %q, want b.go and c.go: a.go has one, names.go and extern.go have no function body, parleytest is a suite", got.untested)
	}
}
