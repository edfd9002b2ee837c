package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley/rest"
)

// breaker returns a Breaker over a host that answers with do.
func breaker(t *testing.T, cfg *rest.BreakerConfig, do roundTrip) *rest.Breaker {
	t.Helper()
	b, err := rest.NewBreaker(do, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func status(code *atomic.Int64) roundTrip {
	return func(r *http.Request) (*http.Response, error) { return response(r, int(code.Load())), nil }
}

const group = "http://h:80"

func TestAHalfOpenBreakerLetsExactlyOneProbeThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		var probing atomic.Bool
		release := make(chan error)
		b := breaker(t, nil, func(r *http.Request) (*http.Response, error) {
			sent.Add(1)
			if probing.Load() {
				if err := <-release; err != nil {
					return nil, err
				}
				return response(r, 200), nil
			}
			return nil, errors.New("down")
		})
		for range 5 {
			_, _ = b.RoundTrip(request(t, t.Context()))
		}
		if _, err := b.RoundTrip(request(t, t.Context())); !errors.Is(err, rest.ErrCircuitOpen) || sent.Load() != 5 {
			t.Fatalf("%v after %d requests, want open after 5", err, sent.Load())
		}
		probing.Store(true)
		for _, outcome := range []error{errors.New("still down"), context.Canceled, nil} {
			if b.State(group) == "open" { // a probe that its caller cancelled leaves it half-open
				time.Sleep(10*time.Second + 1)
			}
			before := sent.Load()
			var refused atomic.Int64
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					_, err := b.RoundTrip(request(t, t.Context()))
					if e, ok := errors.AsType[*rest.CircuitOpenError](err); ok && e.Probing && e.Group == group {
						refused.Add(1)
					}
				})
			}
			synctest.Wait()
			if sent.Load() != before+1 || refused.Load() != 99 {
				t.Errorf("%d probes and %d refused, want 1 and 99", sent.Load()-before, refused.Load())
			}
			release <- outcome
			wg.Wait()
		}
		if got := b.State(group); got != "closed" {
			t.Errorf("the state is %s after a good probe", got)
		}
	})
}

func TestOnlyFailuresOfTheHostOpenTheBreaker(t *testing.T) {
	for name, c := range map[string]struct {
		do   roundTrip
		want string
	}{
		"4xx":       {func(r *http.Request) (*http.Response, error) { return response(r, 404), nil }, "closed"},
		"429":       {func(r *http.Request) (*http.Response, error) { return response(r, 429), nil }, "closed"},
		"cancelled": {func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("x: %w", context.Canceled) }, "closed"},
		"5xx":       {func(r *http.Request) (*http.Response, error) { return response(r, 500), nil }, "open"},
		"transport": {func(*http.Request) (*http.Response, error) { return nil, errors.New("reset") }, "open"},
		"timeout":   {func(*http.Request) (*http.Response, error) { return nil, context.DeadlineExceeded }, "open"},
	} {
		b := breaker(t, nil, c.do)
		for range 30 {
			_, _ = b.RoundTrip(request(t, t.Context()))
		}
		if got := b.State(group); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestTimeoutsLongerThanTheWindowStillOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker(t, nil, func(*http.Request) (*http.Response, error) {
			time.Sleep(25 * time.Second)
			return nil, context.DeadlineExceeded
		})
		for range 5 {
			_, _ = b.RoundTrip(request(t, t.Context()))
		}
		if got := b.State(group); got != "open" {
			t.Errorf("%s after five timeouts of 25s", got)
		}
	})
}

func TestHalfOfTheRequestsFailingOpensTheBreakerWithinTheWindow(t *testing.T) {
	for gap, want := range map[time.Duration]string{100 * time.Millisecond: "open", 2 * time.Second: "closed"} {
		synctest.Test(t, func(t *testing.T) {
			var code atomic.Int64
			b := breaker(t, nil, status(&code))
			for i := range 60 {
				code.Store([]int64{200, 500}[i%2])
				_, _ = b.RoundTrip(request(t, t.Context()))
				time.Sleep(gap)
				if b.State(group) == "open" {
					break
				}
			}
			if got := b.State(group); got != want {
				t.Errorf("every %v one, half of them failing: %s, want %s", gap, got, want)
			}
		})
	}
}

func TestHostsHaveBreakersOfTheirOwnUnlessGrouped(t *testing.T) {
	var told []string
	b := breaker(t, &rest.BreakerConfig{Failures: 1, StateChanged: func(g, from, to string) { told = append(told, g+" "+from+" "+to) }},
		func(r *http.Request) (*http.Response, error) { return response(r, 500), nil })
	_, _ = b.RoundTrip(request(t, t.Context()))
	if b.State(group) != "open" || b.State("https://h:443") != "closed" {
		t.Error("the breaker of one origin is not its own")
	}
	if got := strings.Join(told, ","); got != "http://h:80 closed open" {
		t.Errorf("the reported changes are %s", got)
	}
	grouped := breaker(t, &rest.BreakerConfig{Failures: 1, Group: func(r *http.Request) string { return r.URL.Path }},
		func(r *http.Request) (*http.Response, error) { return response(r, 500), nil })
	_, _ = grouped.RoundTrip(request(t, t.Context()))
	if grouped.State("/x") != "open" || grouped.State("/y") != "closed" {
		t.Error("Group is not used")
	}
}

func TestAHookMayAskTheBreakerThatCallsIt(t *testing.T) {
	var b *rest.Breaker
	var states []string
	b = breaker(t, &rest.BreakerConfig{Failures: 1, StateChanged: func(g, _, _ string) {
		states = append(states, b.State(g))
		_, err := b.RoundTrip(request(t, context.Background()))
		states = append(states, fmt.Sprint(errors.Is(err, rest.ErrCircuitOpen)))
	}}, func(r *http.Request) (*http.Response, error) { return response(r, 500), nil })
	_, _ = b.RoundTrip(request(t, t.Context()))
	if got := strings.Join(states, " "); got != "open true" {
		t.Errorf("the hook saw %q", got)
	}
}

func TestAPanicBelowIsAFailureAndEndsTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker(t, &rest.BreakerConfig{Failures: 1}, func(*http.Request) (*http.Response, error) { panic("below") })
		for range 3 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic did not reach the caller")
					}
				}()
				_, _ = b.RoundTrip(request(t, t.Context()))
			}()
			if got := b.State(group); got != "open" {
				t.Errorf("the state is %s after a panic", got)
			}
			time.Sleep(10*time.Second + 1)
		}
	})
}

func TestACallWithAnOpenBreakerIsRefusedWithoutRetries(t *testing.T) {
	var count atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { count.Add(1); answer(w, 500, "") })
	c := client(t, rest.Config{Host: s.URL})
	for range 5 {
		if err := get(t, c); !errors.Is(err, rest.ErrServer) {
			t.Fatal(err)
		}
	}
	err := get(t, c)
	if !errors.Is(err, rest.ErrCircuitOpen) || !errors.Is(err, rest.ErrRequest) || errors.Is(err, rest.ErrConnection) || count.Load() != 5 {
		t.Errorf("%v after %d requests, want ErrCircuitOpen after 5", err, count.Load())
	}
}
