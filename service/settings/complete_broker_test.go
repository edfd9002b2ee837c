package settings

import (
	"strings"
	"testing"
)

func TestSeveralHostsInOneBrokerURLAreRefusedWithAHint(t *testing.T) {
	for _, url := range []string{"amqp://u:p@h1:5672,h2:5672/", "amqps://h1,h2/v", "amqp://h1:5672,h2/"} {
		_, err := load(t, "broker: {url: '"+url+"'}")
		if err == nil || !strings.Contains(err.Error(), "names several hosts (list one URL for each node in broker.urls)") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := load(t, "broker: {url: 'amqp://u:a%2Cb@h/'}"); err != nil {
		t.Errorf("a comma in the password: %v", err)
	}
}

func TestEachNodeOfBrokerURLsIsCheckedAndGetsTheLogin(t *testing.T) {
	s, err := load(t, "broker: {urls: ['amqps://a', 'amqps://b:5673/shop'], username: orders, password: s3cret}")
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{s.Broker.URLs[0].Reveal(), s.Broker.URLs[1].Reveal()}; got[0] != "amqps://orders:s3cret@a" || got[1] != "amqps://orders:s3cret@b:5673/shop" {
		t.Errorf("URLs %q lack the login", got)
	}
	if name := s.BrokerName(); strings.Contains(name, "s3cret") || !strings.Contains(name, "@b:5673/shop") {
		t.Errorf("the name of the broker is %q", name)
	}
	if err := s.Need("broker.url"); err != nil {
		t.Error(err)
	}
	for doc, want := range map[string]string{
		"broker: {urls: ['amqp://a', 'http://b']}":                             "item 2: is not an AMQP URL",
		"broker: {urls: ['amqp://a', 'amqps://b']}":                            "some URLs use TLS and others do not",
		"broker: {urls: ['amqp://a', 'amqp://a']}":                             "item 2: is listed twice",
		"broker: {urls: ['amqp://a', 'memory:']}":                              "item 2: memory: is no node of a cluster",
		"broker: {urls: ['amqp://a', 'amqp://b,c']}":                           "item 2: names several hosts",
		"broker: {url: 'amqp://a', urls: ['amqp://b']}":                        "broker.url and broker.urls are both given",
		"broker: {urls: ['amqp://a'], host: h}":                                "broker.urls and broker.host are both given",
		"broker: {management_url: 'h:15672'}":                                  "is not an http or https URL",
		"broker: {urls: [5]}":                                                  "item 1: must be a URL, not a number",
		"database: {url: 'mysql://a,b/d'}":                                     "several hosts are supported on PostgreSQL only",
		"database: {url: 'sqlite:x', tls: {ca_file: c}}":                       "the database is no server",
		"database: {url: 'postgres://h/d?sslmode=disable', tls: {ca_file: c}}": "database.url chooses TLS too",
		"database: {url: 'postgres://h/d', tls: {cert_file: c}}":               "belong together",
		"telemetry: {otlp: 'collector:4318'}":                                  "is not an http or https URL",
		"log: {levels: {relay: loud}}":                                         "relay: loud is not a level",
		"consumer: {kill_switch: {share: 1.5}}":                                "must be 0 to 1",
	} {
		if _, err := load(t, doc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", doc, err, want)
		}
	}
}

func TestZerosAndEmptyListsTurnFeaturesOff(t *testing.T) {
	s, err := load(t, "consumer: {kill_switch: {share: 0}, max_stuck: 0, poison_limit: 0, stuck_after: 0s, retry_delays: none}", "PARLEY_CONSUMER_IMMEDIATE_RETRIES=")
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Consumer; c.KillSwitch.Share != 0 || c.MaxStuck != 0 || c.StuckAfter != 0 || c.ImmediateRetries == nil || len(c.ImmediateRetries) != 0 || c.PoisonLimit != 0 || c.RetryDelays == nil || len(c.RetryDelays) != 0 {
		t.Errorf("%+v: an explicit zero became a default", c)
	}
}
