package main

import (
	"io"
	"os"
	"testing"
)

func TestOnlyTheCommittedEventArrives(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = stdout }()
	main()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	want := "Bob: the name is taken\nAda: <nil>\nreceived event 2: Ada\n"
	if err != nil || string(out) != want {
		t.Errorf("printed %q (%v), want %q", out, err, want)
	}
}
