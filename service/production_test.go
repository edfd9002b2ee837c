package service

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/settings"
)

// productionFile returns the settings file of the chapter "A production set-up" of docs/operations.md, with files that exist.
func productionFile(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, ok := strings.Cut(string(page), "\n## A production set-up\n")
	_, block, found := strings.Cut(chapter, "```yaml\n")
	block, _, ended := strings.Cut(block, "```")
	if !ok || !found || !ended {
		t.Fatal("docs/operations.md has no settings file in \"A production set-up\"")
	}
	dir := t.TempDir()
	for _, name := range []string{"broker", "database"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("s3cret-of-"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	block = strings.ReplaceAll(block, "/run/secrets/", dir+"/")
	return file(t, strings.ReplaceAll(block, "/etc/ssl/shop-ca.pem", authority(t)))
}

func TestTheProductionSetUpOfTheDocumentationIsValidAndWarnsOfNothing(t *testing.T) {
	name := productionFile(t)
	s, err := settings.Load(&settings.LoadOptions{File: name, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if w := s.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
	opened := open(t, s, nil)
	register(opened.Router, [2]string{"user", "renamed"}, [2]string{"order", "paid.card"})
	opened.Router.HandleFunc("user", "created", func(context.Context, *parley.Delivery) error { return nil }, parley.Ordered(nil)) // its retries take more than an hour
	register(opened.Queue("lost").Router, [2]string{"order", "any"})
	if unbound := opened.Unbound(); len(unbound) != 1 || unbound[0].Queue != "lost" {
		t.Errorf("unbound: %+v, want the handler of exchange order in queue lost alone", unbound)
	}
	if consumers, err := opened.consumers(); err != nil || len(consumers) != 2 {
		t.Errorf("%d consumers, %v, want 2", len(consumers), err)
	}
	if _, err := opened.Relay(); err != nil {
		t.Error(err)
	}
	for _, q := range opened.Topology().Queues {
		if q.Arguments["x-queue-type"] != "quorum" {
			t.Errorf("queue %s has the arguments %v, want a quorum queue", q.Name, q.Arguments)
		}
	}
}

// Guarantee: no key of the example is without effect.
func TestEveryKeyOfTheProductionSetUpChangesTheSettings(t *testing.T) {
	name := productionFile(t)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings.Load(&settings.LoadOptions{File: name, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, one := range s.Show() {
		if one.Source != "default" {
			shown[one.Key] = true
		}
	}
	for _, key := range []string{
		"broker.urls", "broker.username", "broker.password", "broker.tls.ca_file", "broker.queue_type", "broker.management_url", "broker.heartbeat", "broker.dial_timeout",
		"database.url", "database.password", "database.tls.ca_file", "database.max_connections", "exchanges",
		"queues.orders.binds", "queues.orders.concurrency", "queues.orders.prefetch", "queues.orders.retry_delays", "queues.orders.arguments",
		"queues.lost.binds", "queues.lost.concurrency", "queues.lost.unhandled", "relay.mode", "relay.unroutable", "inbox.retention", "inbox.sweep_interval",
		"consumer.shutdown_timeout", "consumer.handler_timeout", "consumer.poison_limit", "consumer.kill_switch.share", "consumer.kill_switch.minimum", "consumer.kill_switch.window",
		"consumer.stuck_after", "consumer.max_stuck", "consumer.failures.store", "consumer.failures.retention", "telemetry.otlp", "telemetry.sample",
		"http.address", "http.metrics", "http.write_timeout", "log.level", "log.format", "log.levels", "app_id",
	} {
		if !shown[key] {
			t.Errorf("%s is not taken from the file", key)
		}
		delete(shown, key)
	}
	delete(shown, "broker.password_file")
	delete(shown, "database.password_file")
	for key := range shown {
		t.Errorf("%s is in the file, but not in this test", key)
	}
	// A misspelled key is an error, so each key is known.
	broken := strings.Replace(string(text), "sweep_interval", "sweep_intervall", 1)
	if _, err := settings.Load(&settings.LoadOptions{File: file(t, broken), Environ: []string{}}); err == nil {
		t.Error("a misspelled key is accepted")
	}
}

// A policy is a policy of docs/rabbitmq-definitions.json.
type policy struct {
	Vhost      string         `json:"vhost"`
	Name       string         `json:"name"`
	Pattern    string         `json:"pattern"`
	ApplyTo    string         `json:"apply-to"`
	Priority   int            `json:"priority"`
	Definition map[string]any `json:"definition"`
}

func TestTheSamplePoliciesFitTheQueuesOfTheProductionSetUp(t *testing.T) {
	text, err := os.ReadFile("../docs/rabbitmq-definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	var definitions struct {
		Vhosts []struct {
			Name             string `json:"name"`
			DefaultQueueType string `json:"default_queue_type"`
		} `json:"vhosts"`
		Policies []policy `json:"policies"`
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&definitions); err != nil {
		t.Fatal(err)
	}
	s, err := settings.Load(&settings.LoadOptions{File: productionFile(t), Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(definitions.Vhosts) != 1 || !strings.HasSuffix(s.Broker.URLs[0].Reveal(), "/"+definitions.Vhosts[0].Name) || definitions.Vhosts[0].DefaultQueueType != "quorum" {
		t.Errorf("virtual hosts %+v, want that of broker.urls, with quorum queues", definitions.Vhosts)
	}
	for _, q := range s.AllQueues() {
		i := slices.IndexFunc(definitions.Policies, func(p policy) bool { return regexp.MustCompile(p.Pattern).MatchString(q.Name) })
		if i < 0 {
			t.Errorf("no policy applies to queue %s", q.Name)
			continue
		}
		want := map[string]any{"delivery-limit": 1000.0, "max-length-bytes": float64(10 << 30), "overflow": "reject-publish"}
		if got := definitions.Policies[i].Definition; !reflect.DeepEqual(got, want) {
			t.Errorf("queue %s: policy %v, want %v", q.Name, got, want)
		}
	}
}
