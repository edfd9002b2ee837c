package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// A Server serves a console at an address of its own, apart from a service's health checks.
type Server struct {
	// Address is host:port. Without Options.Authorize it must be a loopback address.
	Address string
	Console *Console
	// Listening, if set, is called with the address when the server listens.
	Listening func(addr net.Addr)
}

// Run serves the console and samples the graphs until ctx ends. It returns nil after a graceful shutdown.
func (s *Server) Run(ctx context.Context) error {
	if err := CheckAddress(s.Address, s.Console.opts.Authorize != nil); err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.Address)
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	if s.Listening != nil {
		s.Listening(l.Addr())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler: s.Console, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		WriteTimeout: 45 * time.Second,                                  // the live tail extends it
		BaseContext:  func(net.Listener) context.Context { return ctx }, // live tails end at the shutdown
	}
	served := make(chan error, 2)
	go func() { served <- server.Serve(l) }()    // joined below
	go func() { served <- s.Console.Run(ctx) }() // joined below
	var errs []error
	select {
	case err := <-served:
		errs = append(errs, err)
	case <-ctx.Done():
	}
	cancel()
	stop, end := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer end()
	if err := server.Shutdown(stop); err != nil {
		_ = server.Close()
	}
	for len(errs) < cap(served) {
		errs = append(errs, <-served)
	}
	for i, err := range errs {
		if errors.Is(err, http.ErrServerClosed) {
			errs[i] = nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}
