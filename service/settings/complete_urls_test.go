package settings

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestSeveralDatabaseHostsMeanTheOneThatAcceptsWrites(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://a,b/orders":                          "postgres://a,b/orders?target_session_attrs=read-write",
		"postgres://a:1,b:2/orders?connect_timeout=2":    "postgres://a:1,b:2/orders?connect_timeout=2&target_session_attrs=read-write",
		"postgres://a,b/orders?target_session_attrs=any": "postgres://a,b/orders?target_session_attrs=any",
		"postgres://a/orders":                            "postgres://a/orders",
	} {
		s, err := load(t, "database: {url: '"+url+"'}")
		if err != nil || s.Database.URL.Reveal() != want {
			t.Errorf("%s: %v, %v, want %s", url, s, err, want)
		}
	}
}

func TestAURLWithoutAPasswordRaisesNoPasswordWarning(t *testing.T) {
	for _, tt := range []struct {
		args, environ string
		want          int
	}{
		{"--broker-url=amqp://mq.example.com/", "", 0},
		{"--broker-url=amqp://user@mq.example.com/", "", 0},
		{"--broker-url=amqp://user:@mq.example.com/", "", 0},
		{"--broker-url=amqp://user@127.0.0.1/", "PARLEY_BROKER_PASSWORD=pw12", 0},
		{"--broker-url=amqp://user@mq.example.com/", "PARLEY_BROKER_PASSWORD=pw12", 1}, // sent unencrypted
		{"--broker-url=amqp://user:pw12@127.0.0.1/", "", 1},                            // in the arguments
		{"--broker-url=amqp://user:pw12@mq.example.com/", "", 2},
		{"--database-url=postgres://user@db.example.com/x", "", 0},
	} {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		AddFlags(flags)
		if err := flags.Parse([]string{tt.args}); err != nil {
			t.Fatal(err)
		}
		s, err := Load(&LoadOptions{Flags: flags, Environ: append([]string{}, strings.Fields(tt.environ)...)})
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		if got := s.Warnings(); len(got) != tt.want {
			t.Errorf("%s %s: warnings %q, want %d", tt.args, tt.environ, got, tt.want)
		}
	}
}

func TestMemoryURLs(t *testing.T) {
	for url, want := range map[URL]bool{"memory:": true, "memory://": true, "amqp://memory/": false, "": false} {
		if got := url.IsMemory(); got != want {
			t.Errorf("%q is in memory: %v, want %v", url, got, want)
		}
	}
}

func TestAURLOfAHigherLayerReplacesAPasswordOfALowerOne(t *testing.T) {
	file, _ := fileWith(t, "of-the-file")
	for name, doc := range map[string]string{
		"a password":      "database: {url: 'postgres://a@h/d', password: of-the-file}\nbroker: {url: 'amqp://a@h/v', password: of-the-file}",
		"a password file": "database: {url: 'postgres://a@h/d', password_file: '" + file + "'}\nbroker: {url: 'amqp://a@h/v', password_file: '" + file + "'}",
	} {
		s, err := load(t, doc, "PARLEY_DATABASE_URL=postgres://b:higher@h/d", "PARLEY_BROKER_URL=amqp://b:higher@h/v")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if url := s.Database.URL.Reveal(); url != "postgres://b:higher@h/d" || s.Database.Password != "" || s.Database.PasswordFile != "" {
			t.Errorf("%s: database %s, password %q, file %q, want the URL of the environment alone", name, url, s.Database.Password.Reveal(), s.Database.PasswordFile)
		}
		if user, password := s.Broker.Login(); user != "b" || password != "higher" {
			t.Errorf("%s: the login at the broker is %q, %q, want that of the environment", name, user, password)
		}
	}
	for _, doc := range []string{"database: {url: 'postgres://a:p@h/d', password: q}", "broker: {url: 'amqp://a:p@h/v', password: q}"} {
		if _, err := load(t, doc); err == nil || !strings.Contains(err.Error(), "give one of them") {
			t.Errorf("%s: %v, want a mistake: both are on the same layer", doc, err)
		}
	}
}
