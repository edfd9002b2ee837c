package service

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

func TestLogsShowHiddenCharactersAsEscapes(t *testing.T) {
	const key = "paid\u202etxt.exe\u200b\u3164\U000e0041\x1b[2J\n\u0085"
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		newLogger(&settings.Log{Level: "info", Format: format}, &out).Info("consumer: delivery failed", "routing_key", key)
		if strings.Count(out.String(), "\n") != 1 || strings.ContainsFunc(strings.TrimSpace(out.String()), terminal.Unsafe) {
			t.Errorf("%s: a hidden character is in the line %q", format, out.String())
		}
		var got map[string]any
		if format == "json" && (json.Unmarshal(out.Bytes(), &got) != nil || got["routing_key"] != key) {
			t.Errorf("the line %s does not hold the text as it was", out.String())
		}
	}
}

func TestEachComponentHasItsOwnLevel(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&settings.Log{Level: "warn", Format: "text", Levels: map[string]string{"relay": "debug", "rabbitmq": "error"}}, &out).With("app_id", "shop")
	log.Debug("relay: batch claimed")
	log.Info("consumer: subscribed")
	log.Warn("rabbitmq: connection lost")
	log.Warn("consumer: delivery failed")
	log.Error("rabbitmq: login rejected")
	for text, want := range map[string]bool{"batch claimed": true, "subscribed": false, "connection lost": false, "delivery failed": true, "login rejected": true} {
		if got := strings.Contains(out.String(), text); got != want {
			t.Errorf("%q logged %v, want %v:\n%s", text, got, want, &out)
		}
	}
	if strings.Count(out.String(), "app_id=shop") != 3 {
		t.Errorf("an attribute is lost:\n%s", &out)
	}
}
