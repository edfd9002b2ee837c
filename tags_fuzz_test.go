package parley_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/parley-go/parley"
)

// FuzzTags checks that a tag's text does not depend on how often it is cast, and that floats read back.
func FuzzTags(f *testing.F) {
	f.Add("user_id", "1", 1.5)
	f.Add("", "True", 1e16)
	f.Fuzz(func(t *testing.T, name, value string, number float64) {
		c := parley.NewEvent[int]("x", "k")
		rec, err := c.Record(1, parley.WithDueAt(due), parley.WithTags(parley.Tags{name: value, name + "n": number}))
		if err != nil {
			if !errors.Is(err, parley.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		if rec.Tags[name] != value {
			t.Errorf("%q became %q", value, rec.Tags[name])
		}
		if back, err := strconv.ParseFloat(rec.Tags[name+"n"], 64); err != nil || back != number && number == number {
			t.Errorf("%v became %q", number, rec.Tags[name+"n"])
		}
	})
}
