package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/service"
)

// freeAddress returns an address of the loopback interface that nothing listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestEveryScreenOfTheDemoIsFilledSoon(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address, done := freeAddress(t), make(chan error, 1)
	go func() {
		done <- Live(ctx, filepath.Join(t.TempDir(), "demo.db"), address, &service.Config{LogOutput: io.Discard})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for path, want := range map[string]string{
		"/": "Lag by exchange", "/?again": "Relay: ", "/s/demo/outbox": "invoice", "/s/demo/parked": "the name is empty", "/s/demo/parked?place=o": "sms", "/s/demo/scheduled": "user_id=",
		"/s/demo/queues": "live.go:", "/s/demo/tail": "user", "/s/demo/settings": "console.address", "/s/demo/doctor": "Examine now", "/s/demo/queues?again": "the demo shows a pause", "/actions": "relay exchange invoice",
	} {
		if err := await(t, "http://"+address+path, want); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// await reads a page until it has a text.
func await(t *testing.T, address, want string) error {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		if err = look(t, address, want); err == nil {
			return nil
		}
	}
	return err
}

func look(t *testing.T, address, want string) error {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return err
	}
	if !strings.Contains(string(text), want) {
		return fmt.Errorf("status %s without %q:\n%s", answer.Status, want, text)
	}
	return nil
}
