package settings

import (
	"strings"
	"testing"
)

func TestATelemetryURLThatIsNotHTTPIsAMistake(t *testing.T) {
	for _, url := range []string{"collector:4318", "grpc://collector:4317", "http://user:word@collector:4318", "http://collector:4318?x=1", "http://"} {
		_, err := load(t, "telemetry: {otlp: '"+url+"'}")
		if err == nil || !strings.Contains(err.Error(), "telemetry.otlp") || !strings.Contains(err.Error(), "http://collector:4318") {
			t.Errorf("%s: %v, want a mistake with the hint", url, err)
		}
	}
	if _, err := load(t, "telemetry: {otlp: 'https://collector:4318/x'}"); err != nil {
		t.Errorf("a URL of HTTPS: %v", err)
	}
}

func TestTelemetrySettingsWithoutEffectAreWarnedOf(t *testing.T) {
	for text, want := range map[string]string{
		"telemetry: {sample: 0.1}":       "has no effect without telemetry.otlp",
		"log: {levels: {rabitmq: warn}}": "did you mean rabbitmq?",
	} {
		s, err := load(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !strings.Contains(strings.Join(s.Warnings(), "\n"), want) {
			t.Errorf("%s: warnings %v, want one that says %q", text, s.Warnings(), want)
		}
	}
}
