package jsonkeys

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestLimitsHoldExactly(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	keys := func(n int) string { return "{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, n), ",") + "}" }
	for _, c := range []struct {
		good, bad string
		limits    Limits
		text      string
	}{
		{deep(200), deep(201), Limits{}, "json nesting deeper than 200"},
		{deep(2), deep(3), Limits{MaxDepth: 2}, "json nesting deeper than 2"},
		{keys(100_000), keys(100_001), Limits{MaxKeys: -1}, "json with more than 100000 keys"},
		{keys(3), `{"a":{"b":{"c":{"d":1}}}}`, Limits{MaxKeys: 3}, "json with more than 3 keys"},
		{`"12345"`, `"123456"`, Limits{MaxBytes: 7}, "json longer than 7 bytes"},
		{strings.Repeat(" ", 8<<20-1) + "1", strings.Repeat(" ", 8<<20) + "1", Limits{}, "json longer than 8388608 bytes"},
		{strings.Repeat("1", 4300), strings.Repeat("1", 4301), Limits{}, "json number longer than 4300 characters"},
	} {
		if err := Valid([]byte(c.good), c.limits); err != nil {
			t.Errorf("just within the limit: %v (want %s for more)", err, c.text)
		}
		var limit *LimitError
		if err := Valid([]byte(c.bad), c.limits); !errors.As(err, &limit) || err.Error() != c.text {
			t.Errorf("just beyond the limit: %v, want %s", err, c.text)
		}
	}
}

func TestDepthIsUnlimitedForWhomAsksForIt(t *testing.T) {
	doc := strings.Repeat(`{"a_b":`, 9000) + "1" + strings.Repeat("}", 9000)
	want := strings.ReplaceAll(doc, "a_b", "aB")
	got, err := Camelize(nil, []byte(doc), nil, Limits{MaxDepth: math.MaxInt})
	if err != nil || string(got) != want {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
