package rest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/parley-go/parley/rest"
)

// exampleAPI has a login at /api/v1/login and two subjects.
func exampleAPI() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.RequestURI() {
		case "POST /api/v1/login":
			answer(w, 200, `{"accessToken":"secret","expiresIn":3600}`)
		case "GET /api/v1/subjects/1":
			answer(w, 200, `{"id":1,"fullName":"Art"}`)
		case "GET /api/v1/subjects?pageSize=1":
			answer(w, 200, `{"next":"?page=2","results":[{"id":1,"fullName":"Art"}]}`)
		case "GET /api/v1/subjects?page=2":
			answer(w, 200, `{"next":null,"results":[{"id":2,"fullName":"Music"}]}`)
		default:
			answer(w, 404, `{"detail":"no such subject"}`)
		}
	}))
}

type Subject struct {
	ID       int64
	FullName string
}

func Example() {
	server := exampleAPI()
	defer server.Close()
	api, err := rest.New(rest.Config{Host: server.URL, AuthURL: "api/v1/login", Username: "shop", Password: "s3cret"})
	if err != nil {
		log.Fatal(err)
	}
	defer api.Close()
	ctx := context.Background()

	typed, err := rest.Get[Subject](ctx, api, "api/v1/subjects/1")
	fmt.Println(typed, err)

	untyped, err := rest.Get[map[string]any](ctx, api, "api/v1/subjects/1")
	fmt.Println(untyped["full_name"], err)

	_, err = rest.Get[Subject](ctx, api, rest.Path("api/v1/subjects", 99))
	fmt.Println(errors.Is(err, rest.ErrNotFound))
	if e, ok := errors.AsType[*rest.ResponseError](err); ok {
		fmt.Println(e.Status, string(e.Body))
	}
	// Output:
	// {1 Art} <nil>
	// Art <nil>
	// true
	// 404 {"detail":"no such subject"}
}

func ExampleItems() {
	server := exampleAPI()
	defer server.Close()
	api, err := rest.New(rest.Config{Host: server.URL})
	if err != nil {
		log.Fatal(err)
	}
	defer api.Close()
	query := rest.Params(struct{ PageSize int }{1})
	for subject, err := range rest.Items[Subject](context.Background(), api, "api/v1/subjects", rest.DjangoPages(), query) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(subject.ID, subject.FullName)
	}
	// Output:
	// 1 Art
	// 2 Music
}

// Each part works on a plain http.Client, without a rest.Client.
func ExampleNewBreaker() {
	transport, err := rest.NewTransport(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	breaker, err := rest.NewBreaker(transport, &rest.BreakerConfig{
		Failures:     3,
		StateChanged: func(_, from, to string) { fmt.Println(from, "->", to) },
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	defer server.Close()
	plain := &http.Client{Transport: breaker}
	for range 4 {
		resp, err := plain.Get(server.URL)
		if errors.Is(err, rest.ErrCircuitOpen) {
			fmt.Println("refused at once")
			return
		}
		if err == nil {
			fmt.Println(resp.StatusCode)
			_ = resp.Body.Close()
		}
	}
	// Output:
	// 500
	// 500
	// closed -> open
	// 500
	// refused at once
}
