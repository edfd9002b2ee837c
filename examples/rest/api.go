package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// An api keeps subjects in memory for clients that have logged in.
type api struct {
	// mu guards the fields below.
	mu       sync.Mutex
	subjects []map[string]any
	file     string
	token    int // the only valid token; 0 before the first login
	count    int // number of logins
	busy     bool
}

func newAPI() *api { return &api{} }

// revoke invalidates the token.
func (a *api) revoke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = -1
}

// beBusy makes the server answer the next request with status 503.
func (a *api) beBusy() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy = true
}

func (a *api) logins() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/login", a.login)
	mux.HandleFunc("GET /api/v1/subjects", a.list)
	mux.HandleFunc("POST /api/v1/subjects", a.create)
	mux.HandleFunc("GET /api/v1/subjects/{id}", a.show)
	mux.HandleFunc("DELETE /api/v1/subjects/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("PUT /api/v1/subjects/{id}/file", a.upload)
	mux.HandleFunc("GET /api/v1/subjects/{id}/file", a.download)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock() // one request at a time is enough here
		defer a.mu.Unlock()
		switch {
		case a.busy:
			a.busy = false
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path != "/api/v1/login" && r.Header.Get("Authorization") != "Bearer token-"+strconv.Itoa(a.token):
			w.WriteHeader(http.StatusUnauthorized)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func (a *api) login(w http.ResponseWriter, r *http.Request) {
	var body struct{ Username, Password string }
	if json.NewDecoder(r.Body).Decode(&body) != nil || body.Username != "shop" || body.Password != "s3cret" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	a.count++
	a.token = a.count
	reply(w, http.StatusOK, map[string]any{"accessToken": "token-" + strconv.Itoa(a.token), "expiresIn": 3600})
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	var s map[string]any
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s["id"] = len(a.subjects) + 1
	a.subjects = append(a.subjects, s)
	reply(w, http.StatusCreated, s)
}

func (a *api) show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(a.subjects) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{"title": "Not found", "detail": "there is no subject " + r.PathValue("id")})
		return
	}
	reply(w, http.StatusOK, a.subjects[id-1])
}

// list returns one subject per page, in the form of Django REST framework.
func (a *api) list(w http.ResponseWriter, r *http.Request) {
	page, err := strconv.Atoi(r.FormValue("page"))
	if err != nil || page < 1 || page > len(a.subjects) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var next any
	if page < len(a.subjects) {
		next = fmt.Sprintf("http://%s%s?page=%d", r.Host, r.URL.Path, page+1)
	}
	reply(w, http.StatusOK, map[string]any{"count": len(a.subjects), "next": next, "results": a.subjects[page-1 : page]})
}

func (a *api) upload(w http.ResponseWriter, r *http.Request) {
	f, header, err := r.FormFile("file")
	if err != nil || !strings.HasPrefix(r.FormValue("docKind"), "syllabus") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.file = header.Filename + "\n" + string(text)
	w.WriteHeader(http.StatusNoContent)
}

func (a *api) download(w http.ResponseWriter, _ *http.Request) {
	name, text, _ := strings.Cut(a.file, "\n")
	w.Header().Set("Content-Disposition", "attachment; filename="+strconv.Quote(name))
	_, _ = io.WriteString(w, text)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
