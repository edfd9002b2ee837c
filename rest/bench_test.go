package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

type benchSubject struct {
	ID        int64             `json:"id"`
	FullName  string            `json:"fullName"`
	IsActive  bool              `json:"isActive"`
	Tags      []string          `json:"tags"`
	CreatedAt time.Time         `json:"createdAt"`
	Settings  map[string]string `json:"settings"`
}

const benchBody = `{"id":77120,"fullName":"Jane Miller","isActive":true,"tags":["admin","editor"],"createdAt":"2023-06-02T10:58:58.340174Z","settings":{"color":"blue","size":"xl"}}`

func benchServer(b *testing.B) string {
	return serve(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write([]byte(benchBody))
	}).URL
}

// bareGet is the code of a careful user of net/http: a context, a status check, a decoder.
func bareGet(ctx context.Context, hc *http.Client, target string) (s benchSubject, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return s, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer t")
	resp, err := hc.Do(r)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// BenchmarkGet compares a call with a token, retries, breaker, limits and deadline
// with a bare http.Client that does the same GET. The two alternate, call by call, so that
// other load on the machine affects both; the ratio is reported as client/bare.
func BenchmarkGet(b *testing.B) {
	target := benchServer(b)
	hc := &http.Client{Transport: new(http.Transport)}
	b.Cleanup(hc.CloseIdleConnections)
	c := client(b, rest.Config{Host: target, AuthURL: target + "/login", Credential: "x", Login: rest.LoginConfig{TokenField: "full_name"}})
	bare := func() {
		if _, err := bareGet(context.Background(), hc, target+"/api/v1/subjects/1"); err != nil {
			b.Fatal(err)
		}
	}
	ours := func() {
		if _, err := rest.Get[benchSubject](context.Background(), c, "api/v1/subjects/1"); err != nil {
			b.Fatal(err)
		}
	}
	for name, call := range map[string]func(){"bare": bare, "client": ours} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
	b.Run("turns", func(b *testing.B) {
		var took [2]time.Duration
		for b.Loop() {
			for i, call := range []func(){bare, ours} {
				start := time.Now()
				call()
				took[i] += time.Since(start)
			}
		}
		b.ReportMetric(float64(took[1])/float64(took[0]), "client/bare")
	})
}
