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
)

// health answers /healthz (the process works) and /readyz (it does its work now).
type health struct {
	service  *Service
	relay    *parley.Relay
	consumer *parley.Consumer
}

// Run serves until ctx ends.
func (h *health) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", h.service.Settings.HTTP.Address)
	if err != nil {
		return fmt.Errorf("service: listen for health checks: %w", err)
	}
	h.service.Logger.Info("service: answers health checks", "address", l.Addr().String())
	server := &http.Server{
		Handler: h.mux(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
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
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, h.alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, h.ready(r.Context())) })
	for pattern, handler := range h.service.HTTPHandlers {
		mux.Handle(pattern, handler)
	}
	return mux
}

// states are the findings by part: "ok", or what is wrong.
type states map[string]string

func answer(w http.ResponseWriter, found states) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	for _, state := range found {
		if state != ok {
			w.WriteHeader(http.StatusServiceUnavailable)
			break
		}
	}
	_ = json.NewEncoder(w).Encode(found) // the client may have gone
}

const ok = "ok"

// alive tells that the process answers. What is away is no reason to restart it.
func (h *health) alive() states { return states{"process": ok} }

// ready tells whether relay, consumer and database do their work at the moment. A relay
// that stands by is ready: another one is active. Causes are in the log: texts of
// drivers and handlers may name what is not for everybody.
func (h *health) ready(ctx context.Context) states {
	found := h.alive()
	if h.consumer != nil {
		found["consumer"] = ok
		switch {
		case !h.consumer.Subscribed():
			found["consumer"] = "not subscribed"
		case h.consumer.Health() != nil:
			found["consumer"] = "paused, or its handlers hang"
		}
	}
	if h.relay != nil {
		found["relay"] = ok
		if state := h.relay.State(); state != parley.RelayActive && state != parley.RelayStandby {
			found["relay"] = string(state)
		}
	}
	if h.service.db != nil {
		found["database"] = ok
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := h.service.db.ping(ctx); err != nil {
			found["database"] = "does not answer"
		}
	}
	return found
}
