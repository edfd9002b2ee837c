//go:build unix

package faulttests_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// An epmd is Erlang's port mapper for one node of a cluster. It answers with the port of a proxy for each other node, so a
// test can cut every single link of the cluster. The protocol is in the reference manual of Erlang, chapter "Distribution Protocol".
type epmd struct {
	listener net.Listener
	// route returns the port at which this node reaches the node called name, or 0.
	route func(name string) int
	wg    sync.WaitGroup

	mu    sync.Mutex            // guards the fields below
	own   map[string]int        // the ports of the programs that have registered here
	conns map[net.Conn]struct{} // open connections
}

// The requests and responses of the protocol.
const (
	epmdAlive    = 120
	epmdAliveYes = 121
	epmdPort     = 122
	epmdPortIs   = 119
	epmdNames    = 110
)

// startEPMD starts a port mapper that ends with the test.
func startEPMD(t *testing.T, route func(name string) int) *epmd {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &epmd{listener: listener, route: route, own: map[string]int{}, conns: map[net.Conn]struct{}{}}
	e.wg.Go(e.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		e.mu.Lock()
		for conn := range e.conns {
			_ = conn.Close()
		}
		e.mu.Unlock()
		e.wg.Wait()
	})
	return e
}

func (e *epmd) port() int { return e.listener.Addr().(*net.TCPAddr).Port }

func (e *epmd) accept() {
	for {
		conn, err := e.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		e.mu.Lock()
		e.conns[conn] = struct{}{}
		e.mu.Unlock()
		e.wg.Go(func() {
			e.serve(conn)
			_ = conn.Close()
			e.mu.Lock()
			delete(e.conns, conn)
			e.mu.Unlock()
		})
	}
}

// serve answers one request. A program stays registered as long as its connection is open.
func (e *epmd) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	request, err := readEPMD(in)
	if err != nil {
		return
	}
	switch request.kind {
	case epmdAlive:
		e.mu.Lock()
		e.own[request.name] = request.port
		e.mu.Unlock()
		_, _ = conn.Write([]byte{epmdAliveYes, 0, 0, 1})
		_, _ = in.ReadByte() // returns when the program has ended
		e.mu.Lock()
		delete(e.own, request.name)
		e.mu.Unlock()
	case epmdPort:
		_, _ = conn.Write(portResponse(request.name, e.lookUp(request.name)))
	case epmdNames:
		out := binary.BigEndian.AppendUint32(nil, uint32(e.port()))
		e.mu.Lock()
		for name, port := range e.own {
			out = fmt.Appendf(out, "name %s at port %d\n", name, port)
		}
		e.mu.Unlock()
		_, _ = conn.Write(out)
	}
}

func (e *epmd) lookUp(name string) int {
	e.mu.Lock()
	port, own := e.own[name]
	e.mu.Unlock()
	if own {
		return port
	}
	return e.route(name)
}

// portResponse is the response to the question for a node's port; 0 means that there is no such node.
func portResponse(name string, port int) []byte {
	if port == 0 {
		return []byte{epmdPortIs, 1}
	}
	out := binary.BigEndian.AppendUint16([]byte{epmdPortIs, 0}, uint16(port))
	out = append(out, 'M', 0, 0, 6, 0, 5) // a node that speaks IPv4, versions 6 to 5
	out = binary.BigEndian.AppendUint16(out, uint16(len(name)))
	return append(append(out, name...), 0, 0)
}

// An epmdRequest is a question to the port mapper.
type epmdRequest struct {
	kind byte
	name string
	port int
}

func readEPMD(in io.Reader) (r epmdRequest, err error) {
	var size [2]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return r, err
	}
	body := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(in, body); err != nil {
		return r, err
	}
	if len(body) == 0 {
		return r, errors.New("empty request")
	}
	r.kind, body = body[0], body[1:]
	switch r.kind {
	case epmdPort:
		r.name = string(body)
	case epmdAlive: // port, type, protocol, two versions, name, extra
		if len(body) < 10 || len(body) < 10+int(binary.BigEndian.Uint16(body[8:])) {
			return r, errors.New("short registration")
		}
		r.port = int(binary.BigEndian.Uint16(body))
		r.name = string(body[10 : 10+int(binary.BigEndian.Uint16(body[8:]))])
	}
	return r, nil
}

func FuzzReadEPMD(f *testing.F) {
	f.Add([]byte("\x00\x03zab"))
	f.Add([]byte("\x00\x0fx\x12\x34M\x00\x00\x06\x00\x05\x00\x02ab\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readEPMD(bytes.NewReader(data))
		if err == nil && !strings.Contains(string(data), r.name) {
			t.Errorf("the name %q is not in the request", r.name)
		}
	})
}

func TestAPortMapperAnswersForItsOwnNodeAndRoutesToOthers(t *testing.T) {
	e := startEPMD(t, func(name string) int { return map[string]int{"other": 7001}[name] })
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", e.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	ask := func(name string) []byte {
		conn := dial()
		_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(name)+1)), append([]byte{epmdPort}, name...)...))
		if err != nil {
			t.Fatal(err)
		}
		response, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	node := dial()
	if _, err := node.Write([]byte("\x00\x10x\x12\x34M\x00\x00\x06\x00\x05\x00\x03own\x00\x00")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(node, answer); err != nil || answer[1] != 0 {
		t.Fatalf("the registration returns %v (%v)", answer, err)
	}
	for name, want := range map[string]int{"own": 0x1234, "other": 7001} {
		if got := ask(name); len(got) < 4 || int(binary.BigEndian.Uint16(got[2:])) != want {
			t.Errorf("%s is at %v, want port %d", name, got, want)
		}
	}
	if got := ask("unknown"); len(got) != 2 || got[1] == 0 {
		t.Errorf("an unknown node is at %v, want an error", got)
	}
	_ = node.Close()
	eventually(t, "a program that has ended is unknown", func() bool { return len(ask("own")) == 2 })
}
