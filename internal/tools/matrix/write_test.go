//go:build linux

package main

import (
	"testing"
	"time"
)

func TestTheTableOfAPageIsReplacedBetweenItsLines(t *testing.T) {
	now := time.Date(2030, 2, 3, 4, 5, 6, 0, time.UTC)
	got, err := replaceTable("a\n"+tableBegin+"old\n"+tableEnd+"z\n", "make matrix", "| new |\n", now)
	want := "a\n" + tableBegin + "Made on 3 February 2030 by `make matrix`.\n\n| new |\n" + tableEnd + "z\n"
	if err != nil || got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if _, err := replaceTable("a\nz\n", "make matrix", "", now); err == nil {
		t.Error("a page without the lines is no error")
	}
}
