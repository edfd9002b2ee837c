package parley

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/topic"
)

// scan finds the route of a key as if there were no tree.
func scan(routes []*Route, key string) *Route {
	sorted := slices.Clone(routes)
	slices.SortStableFunc(sorted, func(a, b *Route) int { return b.rank - a.rank })
	for _, r := range sorted {
		if topic.Match(r.words, topic.Words(key)) {
			return r
		}
	}
	return nil
}

func TestTheTreeOfPatternsFindsTheRouteThatAScanFinds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	phrase := func(words []string, limit int) string {
		out := make([]string, 1+rng.IntN(limit))
		for i := range out {
			out[i] = words[rng.IntN(len(words))]
		}
		return strings.Join(out, ".")
	}
	found := 0
	for range 200 {
		r := NewRouter()
		for range 30 {
			pattern := phrase([]string{"a", "b", "", "*", "#", "a*"}, 4)
			if s := patternSpec("x", pattern); !s.exact && (r.routes["x"] == nil || r.routes["x"].patterns[s.key] == nil) {
				r.HandleFunc("x", pattern, func(context.Context, *Delivery) error { return nil })
			}
		}
		var routes []*Route
		for _, route := range r.routes["x"].patterns {
			routes = append(routes, route)
		}
		slices.SortFunc(routes, func(a, b *Route) int { return a.number - b.number })
		for range 100 {
			key := phrase([]string{"a", "b", "c", "a*"}, 4)
			if rng.IntN(50) == 0 {
				key = ""
			}
			want, got := scan(routes, key), r.match("x", key)
			if got != want {
				t.Fatalf("key %q: got %+v, want %+v", key, got, want)
			}
			if got != nil {
				found++
			}
		}
	}
	if found < 1000 {
		t.Fatalf("only %d keys matched", found)
	}
}
