package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShowListsTheOptionsOfEachQueue(t *testing.T) {
	s, err := load(t, threeQueues)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := Write(&out, s.Show()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"queues.orders.concurrency", "queues.orders.binds", "user:#,order:paid.*", "queues.mail.poison_limit", "queues.audit "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %s:\n%s", want, &out)
		}
	}
}

func TestNoSecretIsShownAnywhere(t *testing.T) {
	const canary = "cAnArY-93"
	dir := t.TempDir()
	inFile := filepath.Join(dir, "s")
	if err := os.WriteFile(inFile, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{
		"urls":        "broker: {url: 'amqp://u:" + canary + "@example.com/'}\ndatabase: {url: 'postgres://u:" + canary + "@h/d?sslpassword=" + canary + "'}",
		"cluster":     "broker: {urls: ['amqp://u:" + canary + "@a.example.com/', 'amqp://u:" + canary + "@b.example.com/'], management_url: 'http://u:" + canary + "@h:1'}",
		"bad cluster": "broker: {urls: ['amqp://u:" + canary + "@a/', 'amqp://u:" + canary + "@b,c/', 5], management_url: 'u:" + canary + "@h:1'}",
		"list":        "broker: {urls: '[\"amqp://u:" + canary + "'}",
		"parameters":  "broker: {host: example.com, password: " + canary + "}\ndatabase: {url: 'postgres://u@h/d', password: " + canary + "}",
		"like a URL":  "broker: {host: example.com, password: 'http://" + canary + "'}\nrest: {username: u, password: 'sqlite:" + canary + "', auth_url: l}",
		"files":       "broker: {url: 'amqp://example.com/', password_file: " + inFile + "}\nrest: {username: u, password_file: " + inFile + ", auth_url: l}",
		"rest":        "rest: {credential: {login: " + canary + ", pin: {a: " + canary + "}}, auth_url: l}",
		"rest paths":  "rest: {host: 'https://h', username: u, password: p4ss, auth_url: 'l?password=" + canary + "', refresh_url: 'https://h/r?token=" + canary + "'}",
		"rest URLs":   "rest: {host: 'https://u:" + canary + "@h', username: u, password: p4ss, auth_url: 'https://u:" + canary + "@h/l', refresh_url: 'u:" + canary + "@h/r'}",
		"rest query":  "rest: {host: 'https://h/?token=" + canary + "'}",
		"rest torn":   "rest: {host: 'https://u:12/" + canary + "@h', username: u, password: p4ss, auth_url: '" + canary + "@h/l'}",
		"bad broker":  "broker: {url: 'amqp://u:" + canary + "#x@h/'}",
		"torn broker": "broker: {url: 'amqp://u:12/" + canary + "@h'}",
		"bad url":     "database: {url: 'postgres://u:%zz" + canary + "@h/d'}",
		"both":        "broker: {password: " + canary + ", password_file: " + inFile + "}",
		"bad file":    "broker: {url_file: " + inFile + "}\ndatabase: {url_file: " + inFile + "}\nrest: {credential_file: " + inFile + "}",
		"wrong kind":  "broker: {password: [" + canary + "]}\nrest: {credential: " + canary + ", password: {a: " + canary + "}}",
		"not YAML":    canary,
		"torn YAML":   "broker: {password: \"" + canary,
		"tab":         "broker:\n\tpassword: " + canary,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Load(&LoadOptions{File: writeFile(t, "s.yaml", doc), Environ: []string{}})
			var out bytes.Buffer
			fmt.Fprint(&out, err)
			if err == nil {
				log := slog.New(slog.NewTextHandler(&out, nil))
				log.Info("settings", "broker", s.Broker, "password", s.Broker.Password, "credential", s.REST.Credential, "all", *s)
				fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d", s, s, s, s.Broker.Password, s.Broker.Password, s.Broker.Password, s.Broker.Password)
				text, err := json.Marshal(s)
				out.Write(text)
				fmt.Fprint(&out, err, s.Warnings())
				if err := Write(&out, s.Show()); err != nil {
					t.Error(err)
				}
			}
			if strings.Contains(out.String(), canary) {
				t.Errorf("the secret is shown:\n%s", &out)
			}
		})
	}
}
