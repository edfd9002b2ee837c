//go:build linux

package main

import "testing"

func TestTheMirrorIsTheArchiveOfTheMachinesOwnSources(t *testing.T) {
	for sources, want := range map[string]string{
		"Types: deb\nURIs: http://archive.example/debian\nSuites: bookworm\n":                 "http://archive.example/debian",
		"# deb http://old.example/debian sid main\ndeb [trusted=yes] https://a/debian/ x y\n": "https://a/debian/",
		"deb http://archive.example/debian-security bookworm main\n":                          "",
		"URIs: http://archive.example/debian-security\n":                                      "",
		"": "",
	} {
		if got := mirrorIn(sources); got != want {
			t.Errorf("mirrorIn(%q) = %q, want %q", sources, got, want)
		}
	}
}
