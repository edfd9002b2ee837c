//go:build linux

package main

import (
	"slices"
	"testing"
)

func TestThePlanKeepsTheChosenRowsAndSuites(t *testing.T) {
	got, err := plan("sid,sid-quorum", "mysql")
	if err != nil || len(got) != 1 || got[0].name != "sid" || !slices.Equal(got[0].suites, []string{"mysql"}) {
		t.Errorf("got %+v (%v), want row sid with suite mysql", got, err)
	}
	if all, err := plan("", ""); err != nil || len(all) != 5 {
		t.Errorf("%d rows (%v), want 5", len(all), err)
	}
	for _, wrong := range [][2]string{{"woody", ""}, {"", "oracle"}} {
		if _, err := plan(wrong[0], wrong[1]); err == nil {
			t.Errorf("plan(%q) is no error", wrong)
		}
	}
}
