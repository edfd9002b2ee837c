package management

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// recorded serves answers that a cluster of RabbitMQ 4.3.6 gave.
func recorded(t *testing.T, files map[string]string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		name, ok := files[r.URL.EscapedPath()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(server.Close)
	c, err := New(strings.Replace(server.URL, "://", "://u:p@", 1)+"/", "other", "other", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNodesLeadersAndLimitsAreRead(t *testing.T) {
	c := recorded(t, map[string]string{"/api/overview": "overview-4.3.6.json", "/api/nodes": "nodes-one-down-4.3.6.json", "/api/queues/%2F": "queues-4.3.6.json", "/api/queues/%2F/orders": "orders-one-down-4.3.6.json"})
	if version, err := c.Version(t.Context()); err != nil || version != "4.3.6" {
		t.Errorf("version %q, %v, want 4.3.6", version, err)
	}
	nodes, err := c.Nodes(t.Context())
	if err != nil || len(nodes) != 3 || !nodes[0].Running || nodes[2].Running {
		t.Errorf("nodes %+v, %v, want three, the last one down", nodes, err)
	}
	queues, err := c.Queues(t.Context(), "/")
	if err != nil || len(queues) != 7 {
		t.Fatalf("%d queues, %v, want 7", len(queues), err)
	}
	found := map[string]*Queue{}
	for i := range queues {
		found[queues[i].Name] = &queues[i]
	}
	for name, want := range map[string]int{"orders": 20, "orders.limit": 5, "orders.retry.10s": 50} {
		if limit, limited := found[name].Limit(); limit != want || !limited || len(found[name].Members) != 3 || found[name].Leader == "" {
			t.Errorf("queue %s: limit %d, %+v, want %d, three members and a leader", name, limit, found[name], want)
		}
	}
	if _, limited := found["mail"].Limit(); limited || found["mail"].Type != "classic" || found["mail"].Node == "" {
		t.Errorf("mail: %+v, want a classic queue on a node", found["mail"])
	}
	if v := found["orders.retry.1m"].Argument("dead-letter-strategy"); v != "at-least-once" {
		t.Errorf("dead-letter-strategy %v", v)
	}
	if v := found["orders.retry.10s"].Argument("max-length"); v != 1000.0 {
		t.Errorf("max-length of the policy %v", v)
	}
	one, err := c.Queue(t.Context(), "/", "orders")
	if err != nil || len(one.Online) != 2 {
		t.Errorf("%+v, %v, want two members online", one, err)
	}
	if missing, err := c.Queue(t.Context(), "/", "none"); missing != nil || err != nil {
		t.Errorf("a missing queue: %v, %v", missing, err)
	}
}

func TestErrorsNameTheCauseWithoutThePassword(t *testing.T) {
	c := recorded(t, nil)
	c.password = "s3cret"
	_, err := c.Nodes(t.Context())
	if err == nil || !strings.Contains(err.Error(), "tag monitoring") {
		t.Errorf("a wrong password: %v", err)
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer page.Close()
	other, err := New(page.URL, "u", "s3cret", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "not the management API") {
		t.Errorf("another server: %v", err)
	}
	page.Close()
	if _, err := other.Nodes(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("no server: %v", err)
	}
}

func TestASilentServerDoesNotHoldUpTheDoctor(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	c, err := New(silent.URL, "u", "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.http.Timeout != timeout {
		t.Errorf("timeout %v, want %v", c.http.Timeout, timeout)
	}
	c.http.Timeout = 50 * time.Millisecond
	if _, err := c.Nodes(context.Background()); err == nil {
		t.Error("a silent server gave an answer")
	}
}

func TestAnEmptyGroupMayBeAList(t *testing.T) {
	var q Queue
	err := json.Unmarshal([]byte(`{"name": "q", "arguments": [], "effective_policy_definition": ""}`), &q)
	if err != nil || q.Argument("overflow") != nil {
		t.Errorf("%+v, %v", q, err)
	}
}
