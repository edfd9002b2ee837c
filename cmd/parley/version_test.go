package main

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionNamesTheReleaseItsCommitAndItsDate(t *testing.T) {
	version, commit, date = "0.1.0", "0123abc", "2026-11-29T10:00:00Z"
	t.Cleanup(func() { version, commit, date = "", "", "" })
	var out strings.Builder
	if err := printVersion(&out, nil); err != nil || !strings.HasPrefix(out.String(), "parley 0.1.0 0123abc 2026-11-29T10:00:00Z, go1.") {
		t.Errorf("got %q (%v)", out.String(), err)
	}
}

func TestVersionOfAnInstalledModuleIsThatOfItsBuildInformation(t *testing.T) {
	info := &debug.BuildInfo{
		Main:     debug.Module{Version: "v0.1.0"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.modified", Value: "true"}},
	}
	if got := describe(info); got != "v0.1.0 0123abc (modified)" {
		t.Errorf("got %q", got)
	}
	if got := describe(nil); got != "unknown" {
		t.Errorf("without build information: %q", got)
	}
}
