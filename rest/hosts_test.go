package rest_test

import (
	"net/http"
	"testing"
)

func TestHostsBeyondTheLimitDoNotPileUp(t *testing.T) {
	b := breaker(t, nil, func(r *http.Request) (*http.Response, error) { return response(r, 200), nil })
	for i := range 3000 {
		b.State(string(rune('a' + i)))
	}
	if n := allocated(func() { b.State("one more") }); n > 1<<20 {
		t.Errorf("%d bytes for one more host", n)
	}
}
