package rest_test

import (
	"testing"
	"testing/synctest"
)

func TestTheBudgetKeepsRetriesASmallPartOfTheTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sent := retrier(t, nil, 503, nil)
		for range 1000 {
			if _, err := r.RoundTrip(request(t, t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(*sent); n < 1100 || n > 1111 {
			t.Errorf("%d attempts for 1000 requests, want 1000 and a tenth and the burst of 10", n)
		}
	})
}
