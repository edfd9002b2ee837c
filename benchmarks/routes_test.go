//go:build !race

package benchmarks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// BenchmarkRoutes finds the route of a message among 5,000 (PARLEY_BENCH_ROUTES) and calls its handler, which does nothing, against a
// router with one route and messages of one routing key. There is no broker, and nothing is decoded.
//
// With Exact each route is a routing key, and all keys occur at random. With Patterns each route has a wildcard. A router remembers
// the routes of the last 4,096 routing keys at most, so with more keys it compares patterns again. With Remembered the same patterns
// receive messages of 100 routing keys.
func BenchmarkRoutes(b *testing.B) {
	routes := number("PARLEY_BENCH_ROUTES", 5000)
	many, few := 50*size(), 5*size() // a message takes less than a microsecond, or many
	for _, c := range []struct {
		name, pattern string
		keys, n       int
	}{
		{"Exact", "user.renamed.%d", routes, many}, {"Patterns", "*.renamed.%d", routes, few}, {"Remembered", "*.renamed.%d", min(routes, 100), many},
	} {
		b.Run(c.name, func(b *testing.B) {
			one, all := routed(b, c.pattern, 1), routed(b, c.pattern, routes)
			for range b.N {
				rate := compare(b,
					side{"1 route", func(b *testing.B) int { return dispatch(b, one, many, 1) }},
					side{fmt.Sprintf("%d routes", routes), func(b *testing.B) int { return dispatch(b, all, c.n, c.keys) }})
				b.ReportMetric(1e9/rate, "ns/msg")
			}
		})
	}
}

// routed returns a router with several routes.
func routed(b *testing.B, pattern string, routes int) *parley.Router {
	b.Helper()
	start := time.Now()
	r := parley.NewRouter()
	for i := range routes {
		r.HandleFunc("user", fmt.Sprintf(pattern, i), func(context.Context, *parley.Delivery) error { return nil })
	}
	b.Logf("routes registered: %d in %v", routes, time.Since(start).Round(time.Microsecond))
	return r
}

// dispatch times n deliveries with random routing keys, the same ones in each round.
func dispatch(b *testing.B, r *parley.Router, n, keys int) int {
	b.Helper()
	deliveries := make([]*parley.Delivery, keys)
	for i := range deliveries {
		m := parley.Message{Exchange: "user", RoutingKey: fmt.Sprintf("user.renamed.%d", i)}
		deliveries[i] = parley.NewDelivery(m, "q", false, nil)
	}
	random := rand.New(rand.NewPCG(1, 2))
	order := make([]*parley.Delivery, n)
	for i := range order {
		order[i] = deliveries[random.IntN(keys)]
	}
	timed(func() {
		for _, d := range order {
			if err := r.Dispatch(b.Context(), d); err != nil {
				b.Fatal(err)
			}
		}
	})
	return n
}
