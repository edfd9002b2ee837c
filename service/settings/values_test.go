package settings

import (
	"strings"
	"testing"
)

func TestValuesOfTheEnvironmentAreTrimmedAsFilesAre(t *testing.T) {
	s, err := Load(&LoadOptions{Environ: []string{"PARLEY_BROKER_URL=amqp://shop@mq/\n", "PARLEY_BROKER_PASSWORD= secret\r\n", "PARLEY_QUEUE=orders "}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Broker.URL.Reveal(); got != "amqp://shop:secret@mq/" || s.Queue != "orders" {
		t.Errorf("the broker is %q and the queue %q", got, s.Queue)
	}
}

func TestQuotesAroundAValueAreNamedAsTheMistake(t *testing.T) {
	for _, pair := range []string{`PARLEY_BROKER_URL="amqp://shop@mq/"`, `PARLEY_DATABASE_PASSWORD='secret'`, `PARLEY_CONSUMER_CONCURRENCY="4"`} {
		_, err := Load(&LoadOptions{Environ: []string{pair}})
		if err == nil || !strings.Contains(err.Error(), "the value is in quotes") || !strings.Contains(err.Error(), "remove the quotes") {
			t.Errorf("%s: got %v", pair, err)
		}
	}
}

func TestASQLiteURLWithParametersOrEscapesIsAMistake(t *testing.T) {
	for url, want := range map[string]string{
		"sqlite:app.db?_pragma=foreign_keys(1)": "has parameters", "sqlite:my%20files/app.db": "percent-encoded", "sqlite:100%/app.db": "",
	} {
		_, err := Load(&LoadOptions{Environ: []string{"PARLEY_DATABASE_URL=" + url}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}

func TestSeveralPostgresHostsKeepTheOtherParameters(t *testing.T) {
	s, err := Load(&LoadOptions{Environ: []string{"PARLEY_DATABASE_URL=postgres://a,b/shop?options=-c%20role%3Dshop"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Database.URL.Reveal(); !strings.Contains(got, "options=-c%20role%3Dshop") {
		t.Errorf("the URL is %s: a plus sign would be part of the option", got)
	}
}
