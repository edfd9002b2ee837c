// Package faultproxy is a TCP proxy for tests: it stands between a client and a real
// server and injects the faults of networks and brokers into their connections. It
// parses the frames of AMQP 0-9-1 if the client uses that protocol. Other protocols
// pass as bytes.
//
// Each fault is counted, so that a test can prove that it happened: a fault test
// without a fault proves nothing.
package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// A Proxy listens on loopback and forwards to one server. All methods are safe for
// concurrent use. Close ends and joins everything that it started.
type Proxy struct {
	listener net.Listener
	target   string
	life     context.Context
	end      context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	links   map[*link]struct{}
	changed chan struct{} // closed, and replaced, when the fields below change
	refuse  bool
	black   map[direction]bool
	latency time.Duration
	pace    int // bytes per second, or 0
	counts  map[Fault]int
	methods map[traffic]int
	rules   rules
}

// A Fault is something that a proxy did to a connection.
type Fault string

// The faults that [Proxy.Count] counts.
const (
	// Connected is no fault: it counts the connections that were forwarded.
	Connected Fault = "connected"
	// Cuts counts connections that were reset, for any reason.
	Cuts Fault = "cut"
	// HungUp counts connections that HangUp ended.
	HungUp Fault = "hung up"
	// Refused counts connections that were reset at once by Refuse.
	Refused Fault = "refused"
	// Swallowed counts the frames that SwallowConfirms held back.
	Swallowed Fault = "swallowed"
	// Forged counts the acknowledgements that ForgeAck changed.
	Forged Fault = "forged"
	// Delayed counts the returns that DelayReturn held up.
	Delayed Fault = "delayed"
	// Held counts the connections and pieces of data that a black hole held.
	Held Fault = "held"
	// Throttled counts the pieces of data that Throttle delayed.
	Throttled Fault = "throttled"
)

// Listen returns a proxy to the server at target, "host:port".
func Listen(target string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	p := &Proxy{
		listener: listener, target: target, changed: make(chan struct{}),
		links: map[*link]struct{}{}, black: map[direction]bool{}, counts: map[Fault]int{}, methods: map[traffic]int{},
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p, nil
}

// Start returns a proxy that is closed at the end of the test.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Addr returns the address for clients, "127.0.0.1:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close resets all connections and joins all goroutines.
func (p *Proxy) Close() {
	p.end()
	_ = p.listener.Close()
	p.Cut()
	p.wg.Wait()
}

// Count returns how often a fault has happened.
func (p *Proxy) Count(f Fault) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[f]
}

// Cut resets all connections, both sides, and returns how many. New ones are accepted.
func (p *Proxy) Cut() int { return p.each((*link).cut) }

// CutClients resets the clients' sides of all connections at once, and the servers' sides only after a while, as when a route
// between them breaks: until then a server believes that its client is there. It returns how many connections it has cut.
func (p *Proxy) CutClients(late time.Duration) int {
	return p.each(func(l *link) bool { return l.cutClient(late) })
}

// HangUp closes all connections, both sides, as a server or a load balancer does in a regular shutdown
// (FIN in place of RST), and returns how many. New ones are accepted.
func (p *Proxy) HangUp() int { return p.each((*link).hangUp) }

// each applies do to all connections, and returns for how many it returned true.
func (p *Proxy) each(do func(*link) bool) (n int) {
	p.mu.Lock()
	links := slices.Collect(maps.Keys(p.links))
	p.mu.Unlock()
	for _, l := range links {
		if do(l) {
			n++
		}
	}
	return n
}

// Refuse resets new connections at once until Heal, as the host of a stopped server does. Open
// connections go on; see Cut.
func (p *Proxy) Refuse() { p.change(func() { p.refuse = true }) }

// Blackhole forwards nothing in both directions until Heal, and keeps connections open, new
// ones too. Heal forwards what was held, as after a repaired route.
func (p *Proxy) Blackhole() { p.change(func() { p.black[toServer], p.black[toClient] = true, true }) }

// BlackholeToServer is a black hole in one direction: the server receives nothing, but what it sends
// arrives. New connections are held as well.
func (p *Proxy) BlackholeToServer() { p.change(func() { p.black[toServer] = true }) }

// BlackholeToClient is a black hole in the other direction: the server receives and does everything, but its answers
// do not arrive.
func (p *Proxy) BlackholeToClient() { p.change(func() { p.black[toClient] = true }) }

// Latency delays each piece of data, of up to 64 KiB, by d in each direction.
func (p *Proxy) Latency(d time.Duration) { p.change(func() { p.latency = d }) }

// Throttle limits each connection to a number of bytes per second in each direction.
func (p *Proxy) Throttle(bytesPerSecond int) { p.change(func() { p.pace = bytesPerSecond }) }

// CutAfter forwards n more bytes from clients to the server and then resets the
// connection that sends more. The server may not read the last of these bytes.
func (p *Proxy) CutAfter(n int64) { p.change(func() { p.rules.bytes, p.rules.counting = n, true }) }

// Heal ends Refuse, all black holes, Latency and Throttle, and removes the pending faults.
func (p *Proxy) Heal() {
	p.change(func() {
		clear(p.black)
		p.refuse, p.latency, p.pace, p.rules = false, 0, 0, rules{}
	})
}

// change applies a change and wakes all waiting goroutines.
func (p *Proxy) change(apply func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	apply()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) count(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[f]++
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		p.wg.Go(func() { p.serve(conn.(*net.TCPConn)) })
	}
}

// serve forwards one connection until it ends.
func (p *Proxy) serve(client *net.TCPConn) {
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse {
		p.count(Refused)
		reset(client)
		return
	}
	l := &link{p: p, client: client, over: make(chan struct{})}
	p.mu.Lock()
	p.links[l] = struct{}{}
	p.mu.Unlock()
	defer func() {
		l.close()
		l.farewell(client)
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if !l.pass(toServer, false) { // a black hole connects to no server
		return
	}
	conn, err := (&net.Dialer{}).DialContext(p.life, "tcp", p.target)
	if err != nil {
		l.cut()
		return
	}
	if !l.attach(conn.(*net.TCPConn)) {
		return
	}
	p.count(Connected)
	l.run()
}
