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
	"github.com/parley-go/parley/rabbitmq"
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
	for _, r := range h.routes() {
		mux.Handle(r.pattern, r.handler)
	}
	for _, r := range h.service.routes {
		mux.Handle(r.pattern, h.whenPrepared(r.handler))
	}
	return mux
}

// whenPrepared answers with status 503 until the tables are up to date: next may need them.
func (h *health) whenPrepared(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if state, preparing := h.service.isPreparing(); preparing {
			http.Error(w, "the service is starting, its database is "+state, http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
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
	for part, state := range found {
		if !status.IsReady(state) && part != brokerKey {
			w.WriteHeader(http.StatusServiceUnavailable)
			break
		}
	}
	_ = json.NewEncoder(w).Encode(found) // the client may have disconnected
}

// pingTimeout is how long the readiness waits for the database.
const pingTimeout = 3 * time.Second

// brokerKey is the part of the broker. It does not decide the status: a service whose broker is unreachable still records events in
// its outbox. Relay and consumer have lines of their own.
const brokerKey = "broker"

// brokerState returns the state of the connections to the broker.
func brokerState(s rabbitmq.State) string {
	switch {
	case s.Blocked != "":
		return "publications blocked by the broker: " + s.Blocked
	case s.Failure != nil:
		return fmt.Sprintf("not reached for %v: %s", time.Since(s.FailingSince).Round(time.Second), brokerProblem(s.Failure))
	}
	return status.OK
}

// brokerProblem returns the kind of a failure to connect. Error texts of the network and of brokers may be confidential.
func brokerProblem(err error) string {
	text := strings.ToLower(err.Error())
	for _, kind := range []struct{ part, name string }{
		{"connection refused", "connection refused"}, {"no such host", "unknown host"}, {"x509", "TLS certificate not trusted"}, {"tls", "TLS failed"},
		{"403", "login rejected"}, {"handshake", "login rejected"}, {"access", "login rejected"}, {"timeout", "timeout"}, {"deadline", "timeout"},
	} {
		if strings.Contains(text, kind.part) {
			return kind.name
		}
	}
	return "see the log"
}

// alive returns the liveness: the process answers. An unreachable broker or database is no reason to restart the process.
func (h *health) alive() states { return states{"process": status.OK} }

// ready returns the current state of relay, consumer and database.
func (h *health) ready(ctx context.Context) states {
	found := h.service.processOf(h.relay, h.consumers).Ready(ctx)
	if b, has := h.service.Broker.(interface{ State() rabbitmq.State }); has {
		found[brokerKey] = brokerState(b.State())
	}
	if state := h.service.control.State(); state != "" {
		found["control"] = state
	}
	return found
}
