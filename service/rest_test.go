package service

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-go/parley/rest"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

// All three ways of the Python library to give a credential work.
func TestTheRESTClientLogsInAsTheSettingsSay(t *testing.T) {
	for name, with := range map[string]settings.REST{
		"credential":            {Credential: settings.Credential{"user_name": "sarvar", "password": "s3cret"}},
		"credential file":       {CredentialFile: servicetest.WriteFile(t, "c", `{"user_name": "sarvar", "password": "s3cret"}`)},
		"username and password": {Username: "sarvar", Password: "s3cret"},
	} {
		t.Run(name, func(t *testing.T) {
			login := map[string]any{}
			mux := http.NewServeMux()
			mux.HandleFunc("POST /api/v1/login", func(w http.ResponseWriter, r *http.Request) {
				if err := json.NewDecoder(r.Body).Decode(&login); err != nil {
					t.Error(err)
				}
				_, _ = w.Write([]byte(`{"access_token": "t0ken"}`))
			})
			mux.HandleFunc("GET /things", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer t0ken" {
					t.Errorf("authorization is %q", r.Header.Get("Authorization"))
				}
				_, _ = w.Write([]byte(`{"ok": true}`))
			})
			server := httptest.NewServer(mux)
			defer server.Close()
			with.Host, with.AuthURL = settings.URL(server.URL), "api/v1/login"
			getThings(t, with)
			user := "userName"
			if name == "username and password" {
				user = "username"
			}
			if diff := cmp.Diff(map[string]any{user: "sarvar", "password": "s3cret"}, login); diff != "" {
				t.Errorf("body of the login: want -, got +\n%s", diff)
			}
		})
	}
}

func getThings(t *testing.T, with settings.REST) {
	t.Helper()
	s, err := Open(&settings.Settings{REST: with}, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := s.REST()
	if err != nil {
		t.Fatal(err)
	}
	reply, err := rest.Get[struct {
		OK bool `json:"ok"`
	}](t.Context(), client, "things")
	if err != nil || !reply.OK {
		t.Errorf("reply %+v, %v", reply, err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
