package sqlstore

import (
	"testing"
	"testing/fstest"
)

func TestTheTextOfTheMigrationsIsInTheirOrder(t *testing.T) {
	m := Migrations{Files: fstest.MapFS{
		"migrations/002_b.sql":  {Data: []byte("second;\n")},
		"migrations/001_a.sql":  {Data: []byte("first;\n")},
		"migrations/readme.txt": {Data: []byte("no statement")},
	}}
	if text, err := m.SQL(); err != nil || text != "first;\nsecond;\n" {
		t.Errorf("text %q (%v), want the first and the second file", text, err)
	}
}
