package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestTheWayOfADeliveryCountsFilesStaysAndClimbs(t *testing.T) {
	p, err := load(checkout(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.way([]string{"+A", "b", "back", "c", "T.m"})
	if want := (way{files: 3, stays: 4, climbs: 1}); err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if n := p.exported(); n != 3 {
		t.Errorf("%d exported names, want A, T and Exported", n)
	}
	for name, names := range map[string][]string{"has no function gone": {"+gone"}, "mentions c": {"+A", "c"}} {
		if _, err := p.way(names); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("way %v: got %v, want an error that says %q", names, err, name)
		}
	}
}

func TestTheWayOfADeliveryInThisRepositoryNeverClimbsBack(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root) // load changes the folder
	p, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.way(strings.Split(wayIn, ",")); err != nil || got.climbs != 0 {
		t.Errorf("got %+v (%v), want a way without a climb back", got, err)
	}
}
