package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/status"
)

// health serves /healthz (liveness) and /readyz (readiness).
type health struct {
	service   *Service
	relay     *parley.Relay
	consumers []consumer
}

// Run serves until ctx ends.
func (h *health) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", h.service.Settings.HTTP.Address)
	if err != nil {
		return fmt.Errorf("service: listen for health checks: %w", err)
	}
	h.service.Logger.Info("service: listening for health checks", "address", l.Addr().String())
	limits := &h.service.Settings.HTTP
	server := &http.Server{
		Handler: h.mux(), ReadHeaderTimeout: min(5*time.Second, limits.ReadTimeout), ReadTimeout: limits.ReadTimeout,
		WriteTimeout: limits.WriteTimeout, IdleTimeout: limits.IdleTimeout, MaxHeaderBytes: 16 << 10,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }() // joined below
	select {
	case err := <-done:
		return fmt.Errorf("service: serve health checks: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err = server.Shutdown(stop)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (h *health) mux() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range append(h.routes(), h.service.routes...) {
		mux.Handle(r.pattern, r.handler)
	}
	return mux
}

// routes are those of the health checks.
func (h *health) routes() []route {
	return []route{
		{"GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, h.alive()) }), "health checks"},
		{"GET /readyz", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, h.ready(r.Context())) }), "health checks"},
	}
}

// states holds the state of each part: "ok", or the problem.
type states map[string]string

func answer(w http.ResponseWriter, found states) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	for _, state := range found {
		if !status.IsReady(state) {
			w.WriteHeader(http.StatusServiceUnavailable)
			break
		}
	}
	_ = json.NewEncoder(w).Encode(found) // the client may have disconnected
}

// pingTimeout is how long the readiness waits for the database.
const pingTimeout = 3 * time.Second

// alive returns the liveness: the process answers. An unreachable broker or database is no reason to restart the process.
func (h *health) alive() states { return states{"process": status.OK} }

// ready returns the current state of relay, consumer and database.
func (h *health) ready(ctx context.Context) states {
	return h.service.processOf(h.relay, h.consumers).Ready(ctx)
}
