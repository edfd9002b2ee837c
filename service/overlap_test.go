package service

import "testing"

func TestOverlapFindsPatternsThatShareAKey(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"#", "", true}, {"#", "a.b", true}, {"a.*", "a.b", true}, {"a.*", "*.b", true}, {"a.*", "a", false},
		{"a.#", "a", true}, {"a.#.z", "*.b.c.z", true}, {"a.#.z", "b.#", false}, {"*.*", "#.x", true}, {"*", "a.#.b", false},
	} {
		if got := overlap(tt.a, tt.b); got != tt.want {
			t.Errorf("overlap(%q, %q) is %t, want %t", tt.a, tt.b, got, tt.want)
		}
		if got := overlap(tt.b, tt.a); got != tt.want {
			t.Errorf("overlap(%q, %q) is %t, want %t", tt.b, tt.a, got, tt.want)
		}
	}
}
