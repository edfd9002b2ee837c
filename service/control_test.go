package service

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/service/status"
)

func TestAPauseStopsRelayAndConsumerOfAServiceWithoutMetrics(t *testing.T) {
	for name, with := range map[string]settings.Settings{
		"without metrics": {},
		"with metrics":    {HTTP: settings.HTTP{Address: "127.0.0.1:0", Metrics: true}},
	} {
		t.Run(name, func(t *testing.T) {
			with.AppID, with.Queue = "test", "q"
			with.Broker.URL, with.Database.URL = "memory:", "memory:"
			pauseAndResume(t, open(t, &with, nil))
		})
	}
}

// pauseAndResume runs a service that is paused at its start, and ends the pauses.
func pauseAndResume(t *testing.T, s *Service) {
	t.Helper()
	s.Router.Default(parley.HandlerFunc(func(context.Context, *parley.Delivery) error { return nil }))
	pauses := []parley.Pause{{Part: parley.PauseRelay}, {Part: parley.PauseConsumer, Queue: "q"}}
	for _, p := range pauses {
		if _, err := s.db.SetPause(t.Context(), p, parley.PauseLimit); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, PartRelay|PartConsumer) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	await := func(what string, is func(state string) bool) {
		t.Helper()
		servicetest.Await(t, what, func() error {
			if found := s.Status(ctx).Process; !is(found["relay"]) || !is(found["consumer"]) {
				return fmt.Errorf("%v", found)
			}
			return nil
		})
	}
	await("relay and consumer are paused", func(state string) bool { return strings.HasPrefix(state, status.Paused) })
	for _, p := range pauses {
		if _, err := s.db.EndPause(ctx, p); err != nil {
			t.Error(err)
		}
	}
	await("relay and consumer work again", func(state string) bool { return state == status.OK })
}
