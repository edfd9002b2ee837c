package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/parley-go/parley"
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
		if state != ok && state != busy && !strings.HasPrefix(state, paused) {
			w.WriteHeader(http.StatusServiceUnavailable)
			break
		}
	}
	_ = json.NewEncoder(w).Encode(found) // the client may have disconnected
}

const (
	ok = "ok"
	// A busy process stays ready: requests wait for a connection, and the relay has its own.
	busy = "busy: all connections are in use"
	// What an operator has paused is no reason to restart the process or to send its requests elsewhere.
	paused = "paused by an operator"
)

// alive returns the liveness: the process answers. An unreachable broker or database is no reason to restart the process.
func (h *health) alive() states { return states{"process": ok} }

// ready returns the current state of relay, consumer and database. A standby relay is ready: another one is active. Causes are
// only in the log, because error texts of drivers and handlers may be confidential.
func (h *health) ready(ctx context.Context) states {
	found := h.alive()
	for _, c := range h.consumers {
		name := "consumer"
		if len(h.consumers) > 1 {
			name = "consumer " + c.queue
		}
		found[name] = ok
		pause, byOperator := c.Paused()
		switch {
		case byOperator:
			found[name] = paused + ": " + pause.Text()
		case !c.Subscribed():
			found[name] = "not subscribed"
		case c.Health() != nil:
			found[name] = "paused, or handlers are stuck, or failed deliveries cannot be stored"
		}
	}
	if h.relay != nil {
		found["relay"] = ok
		if state := h.relay.State(); state == parley.RelayPaused {
			found["relay"] = paused
		} else if state != parley.RelayActive && state != parley.RelayStandby {
			found["relay"] = string(state)
		}
	}
	if state := h.service.control.State(); state != "" {
		found["control"] = state
	}
	if h.service.db != nil {
		found["database"] = ok
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		switch err := h.service.db.Ping(ctx); {
		case errors.Is(err, errBusy):
			found["database"] = busy
		case errors.Is(err, ErrReadOnly):
			found["database"] = err.Error()
		case err != nil:
			found["database"] = "unreachable"
		}
	}
	return found
}
