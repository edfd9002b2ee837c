package settings

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// load reads settings from a file and the given environment.
func load(t *testing.T, text string, environ ...string) (*Settings, error) {
	t.Helper()
	return Load(&LoadOptions{File: writeFile(t, "s.yaml", text), Environ: append([]string{}, environ...)})
}

func TestFailedDeliveriesAreKeptInTheDatabaseIfThereIsOne(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{
		{"database: {url: 'sqlite:x.db'}", true},
		{"database: {url: 'sqlite:x.db'}\nconsumer: {failures: {store: queue}}", false},
		{"broker: {url: 'memory:'}", false},
		{"database: {url: 'memory:'}\nbroker: {url: 'memory:'}", true},
		{"database: {url: 'memory:'}\nbroker: {url: 'amqp://127.0.0.1/'}", false},
		{"database: {url: 'memory:'}\nbroker: {url: 'amqp://127.0.0.1/'}\nconsumer: {failures: {store: sql}}", true},
	} {
		s, err := load(t, tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if got := s.FailuresInSQL(); got != tt.want {
			t.Errorf("%s: kept in SQL: %v, want %v", tt.text, got, tt.want)
		}
	}
}

func TestAFailureStoreInSQLWithoutADatabaseIsAMistake(t *testing.T) {
	_, err := load(t, "consumer: {failures: {store: sql}}")
	if err == nil || !strings.Contains(err.Error(), "consumer.failures.store: is sql, but there is no database (set database.url)") {
		t.Errorf("error is %v", err)
	}
}

func TestAPoisonLimitOfZeroTurnsTheGuardOff(t *testing.T) {
	for text, want := range map[string]int{"": 20, "consumer: {poison_limit: 0}": 0, "consumer: {poison_limit: 7}": 7} {
		s, err := load(t, text)
		if err != nil || s.Consumer.PoisonLimit != want {
			t.Errorf("%q: poison limit %d (%v), want %d", text, s.Consumer.PoisonLimit, err, want)
		}
	}
	s, err := load(t, "consumer: {poison_limit: 0}")
	if err != nil {
		t.Fatal(err)
	}
	shown := ""
	for _, setting := range s.Show() {
		if setting.Key == "consumer.poison_limit" {
			shown = setting.text() + " from " + setting.Source
		}
	}
	if shown != "0 from s.yaml: consumer.poison_limit" {
		t.Errorf("settings show says %q", shown)
	}
}

func TestSecretsAreAListInTheSettingsOrInAFile(t *testing.T) {
	const first, second = "0123456789abcdef", "a secret, with a comma"
	file := writeFile(t, "secrets", first+"\n"+second+"\n")
	for text, want := range map[string][]string{
		"consumer: {secrets: ['" + first + "']}":                   {first},
		"consumer: {secrets: ['" + first + "', '" + second + "']}": {first, second},
		"consumer: {secrets_file: '" + file + "'}":                 {first, second},
		"": nil,
	} {
		s, err := load(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, secret := range s.ConsumerSecrets() {
			got = append(got, string(secret))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: want -, got +\n%s", text, diff)
		}
	}
	for _, text := range []string{"consumer: {secrets: [short]}", "consumer: {secrets_file: '" + file + "', secrets: ['" + second + "']}", "consumer: {secrets: [{a: " + first + "}]}"} {
		if _, err := load(t, text); err == nil || strings.Contains(err.Error(), first) || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%s: error is %v; want a mistake that does not show a secret", text, err)
		}
	}
}

func TestTheRetentionOfParkedRowsIsUnlimitedUnlessSet(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "consumer: {failures: {retention: 720h}}": 720 * time.Hour} {
		s, err := load(t, text)
		if err != nil || s.Consumer.Failures.Retention != want {
			t.Errorf("%q: retention %v (%v), want %v", text, s.Consumer.Failures.Retention, err, want)
		}
	}
}

func TestIdentitiesThatAreForgottenBeforeTheLastRetryAreWarnedOf(t *testing.T) {
	const doc = "queue: q\nbroker: {url: 'amqp://h/'}\ndatabase: {url: 'sqlite:x.db'}\n"
	for more, want := range map[string]bool{
		"consumer: {retry_delays: [2h], failures: {store: queue}}\ninbox: {retention: 1h}": true,
		"consumer: {retry_delays: [2h], failures: {store: queue}}":                         false,
		"consumer: {retry_delays: [2h], failures: {store: sql}}\ninbox: {retention: 1h}":   false,
	} {
		s, err := load(t, doc+more)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(s.Warnings(), "\n"), "longer than its identity is kept"); got != want {
			t.Errorf("%s: warned %v, want %v: %v", more, got, want, s.Warnings())
		}
	}
}
