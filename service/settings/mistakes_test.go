package settings

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestAllMistakesAreReportedAtOnceEachWithItsSourceAndAHint(t *testing.T) {
	file := writeFile(t, "parley.yaml", `
app_idd: shop
brokr: {url: "amqp://x"}
broker.heartbeat: 10s
broker: {url: "http://x", host: h, tls: {cert_file: c}}
queue: 5
exchanges: [{name: a, typ: fanout}, {name: b, type: fan}, 7]
relay: {batch_size: many, poll_interval: 5, hold_limit: 1h, mode: chaos}
database: {url: "oracle://x"}
`)
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(fs)
	if err := fs.Parse([]string{"--consumer-prefetch=70000"}); err != nil {
		t.Fatal(err)
	}
	_, err := Load(&LoadOptions{File: file, Flags: fs, Environ: []string{
		"PARLEY_LOG_LEVEL=loud", "PARLEY_DATABSE_URL=x", "PARLEY_BROKER_WINDOW=tcp://10.0.0.1:80", "PARLEY_RELAY_SERVICE_HOST=10.0.0.1",
	}})
	mistakes, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error is %v, want a *Error", err)
	}
	for _, want := range []string{
		"parley.yaml: app_idd: unknown setting (did you mean app_id?)",
		"parley.yaml: brokr.url: unknown setting (did you mean broker.url?)",
		"parley.yaml: broker.heartbeat: unknown setting (write heartbeat: below broker:)",
		"parley.yaml: broker.url: broker.url and broker.host are both given (give one of them)",
		"parley.yaml: queue: must be text, not a number (put it in quotes)",
		`parley.yaml: exchanges: item 1: unknown name "typ" (did you mean type?)`,
		`parley.yaml: relay.batch_size: "many" is not a whole number`,
		"parley.yaml: relay.poll_interval: must be a duration with a unit (write it as 5s, 300ms or 1m30s)",
		`parley.yaml: relay.mode: "chaos" is not known (use ordered or parallel)`,
		"parley.yaml: database.url: is not the URL of a supported database",
		`environment variable PARLEY_LOG_LEVEL: "loud" is not known (use debug, info, warn or error)`,
		"environment variable PARLEY_DATABSE_URL: unknown setting (did you mean PARLEY_DATABASE_URL?)",
		"environment variable PARLEY_BROKER_WINDOW: \"tcp://10.0.0.1:80\" is not a whole number (Kubernetes",
		"flag --consumer-prefetch: must be 1 to 65535",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(err.Error(), "PARLEY_RELAY_SERVICE_HOST") {
		t.Error("a variable that Kubernetes sets for a service is reported")
	}
	if t.Failed() {
		t.Logf("%d mistakes:\n%v", len(mistakes.Mistakes), err)
	}
}
