//go:build unix

package faulttests_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
	"github.com/parley-go/parley/rabbitmq"
)

// Clients must not prevent a broker from starting.
func TestFiftyClientsThatLoseTheirBrokerDoNotStormItAndAreAllBackInTime(t *testing.T) {
	needAll(t)
	t.Parallel()
	s := privateRabbitMQ(t)
	proxy, address := through(t, s.url)
	const clients = 50
	var lost, connected atomic.Int64
	var running sync.WaitGroup
	for n := range clients {
		b, err := rabbitmq.New(&rabbitmq.Config{URL: address, Name: fmt.Sprintf("client %d", n), Logger: quiet, Hooks: rabbitmq.Hooks{
			Connected:    func(string) { connected.Add(1) },
			Disconnected: func(string, error) { lost.Add(1); connected.Add(-1) },
		}})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { keepReady(t.Context(), b) })
	}
	t.Cleanup(running.Wait)
	eventually(t, "all clients are connected", func() bool { return connected.Load() == clients })

	sampled := sampleDials(t, proxy)
	s.signal(syscall.SIGKILL)
	eventually(t, "all clients have lost their connection", func() bool { return lost.Load() >= clients })
	s.start()
	opened := s.opened
	eventually(t, "all clients are connected again", func() bool { return connected.Load() == clients })
	took := time.Since(opened)
	dials := sampled()
	t.Logf("dials per second: %v; all clients reconnected %v after the port was open", dials, took)
	if most := slices.Max(dials); most >= 2*clients {
		t.Errorf("%d clients dialled %d times within a second, want fewer than %d: %v", clients, most, 2*clients, dials)
	}
	if testenv.Late(t, took, 30*time.Second) {
		t.Errorf("all clients reconnected after %v, want at most 30 s", took)
	}
}

// keepReady uses the broker's connection until ctx ends.
func keepReady(ctx context.Context, b *rabbitmq.Broker) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		_ = b.Ready(ctx) // the broker is unreachable for a while
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	once, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = b.Close(once) // the broker may have stopped
}

// sampleDials counts the dials in each second, until the returned function is called.
func sampleDials(t *testing.T, p *faultproxy.Proxy) (end func() []int) {
	// The proxy cuts a connection if the server is down. No other connections are cut in this test.
	dialled := func() int { return p.Count(faultproxy.Connected) + p.Count(faultproxy.Cuts) }
	ctx, cancel := context.WithCancel(t.Context())
	var dials []int
	var wg sync.WaitGroup
	last := dialled()
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for over := false; !over; {
			select {
			case <-ctx.Done():
				over = true
			case <-tick.C:
			}
			now := dialled()
			dials = append(dials, now-last)
			last = now
		}
	})
	return func() []int { cancel(); wg.Wait(); return dials }
}
