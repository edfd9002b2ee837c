package rest_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestTheLimitIsExactAndPerCall(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `"12345678"`) })
	c := client(t, rest.Config{Host: s.URL, MaxBytes: 9})
	if err := get(t, c, rest.MaxBytes(10)); err != nil {
		t.Errorf("10 of 10 bytes: %v", err)
	}
	if err := get(t, c); !errors.Is(err, rest.ErrTooLarge) {
		t.Errorf("10 of 9 bytes: %v", err)
	}
	if _, err := rest.Head(t.Context(), c, "x"); err != nil {
		t.Errorf("HEAD has no body that could be too large: %v", err)
	}
}

func TestTheLargestLimitReadsTheWholeAnswer(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush() // no Content-Length
		_, _ = io.WriteString(w, `"12345678"`)
	})
	for _, limit := range []int64{math.MaxInt64, math.MaxInt64 - 1} {
		c := client(t, rest.Config{Host: s.URL, MaxBytes: limit})
		if err := get(t, c); err != nil {
			t.Errorf("Config.MaxBytes %d: %v", limit, err)
		}
		if err := get(t, c, rest.MaxBytes(limit)); err != nil {
			t.Errorf("MaxBytes(%d): %v", limit, err)
		}
		d, err := rest.Download(t.Context(), c, "x", rest.MaxBytes(limit))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(d); err != nil || len(text) != 10 {
			t.Errorf("download with MaxBytes(%d): %q, %v", limit, text, err)
		}
		_ = d.Close()
	}
}

func TestALimitThatIsNotPositiveMeansTheDefault(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `"12345678"`) })
	c := client(t, rest.Config{Host: s.URL, MaxBytes: 9})
	for _, limit := range []int64{0, -1, -5, math.MinInt64} {
		if err := get(t, c, rest.MaxBytes(limit)); !errors.Is(err, rest.ErrTooLarge) {
			t.Errorf("10 of 9 bytes with MaxBytes(%d): %v", limit, err)
		}
	}
}

func TestPartsRequireTheirArguments(t *testing.T) {
	_, retrier := rest.NewRetrier(nil, nil)
	_, breaker := rest.NewBreaker(nil, nil)
	_, auth := rest.NewAuth(nil, nil, nil, nil)
	if retrier == nil || breaker == nil || auth == nil {
		t.Errorf("%v, %v, %v", retrier, breaker, auth)
	}
}

func TestQueryValuesGoAsTheyAre(t *testing.T) {
	got, err := requested("http://h", "x?a=1", rest.Params(url.Values{"b_c": {"2", "3"}}), rest.Params(nil), rest.Params("d=%20"),
		rest.Params(struct {
			PageSize int
			Skip     *int
			On       bool
		}{PageSize: 5}))
	if want := "a=1&b_c=2&b_c=3&d=%20&pageSize=5&on=False"; err != nil || got.RawQuery != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
}
