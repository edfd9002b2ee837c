package rest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestAProblemWithMembersOfTheWrongTypeIsStillRead(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(400)
		_ = json.NewEncoder(w).Encode(map[string]any{"title": 7, "status": "x", "detail": "d"})
	})
	e, _ := errors.AsType[*rest.ResponseError](get(t, client(t, rest.Config{Host: s.URL})))
	if e == nil || e.Problem == nil || e.Problem.Type != "about:blank" || e.Problem.Title != "" || e.Problem.Detail != "d" {
		t.Errorf("%+v", e)
	}
}
