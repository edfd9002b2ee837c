package settings

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNoVerbLogOrEncodingShowsASecret(t *testing.T) {
	const text = "s3cret-9"
	values := map[string]any{
		"Secret":     Secret(text),
		"URL":        URL("amqp://shop:" + text + "@mq.example.com/"),
		"Path":       Path("api/login?token=" + text),
		"Credential": Credential{"password": text},
	}
	for name, value := range values {
		var b strings.Builder
		fmt.Fprintf(&b, "%v %+v %#v %s %q", value, value, value, value, value)
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "value", value) // LogValue
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(encoded)
		if strings.Contains(b.String(), text) {
			t.Errorf("%s shows its text: %s", name, &b)
		}
		if !strings.Contains(b.String(), hidden) {
			t.Errorf("%s is not shown as hidden: %s", name, &b)
		}
	}
}
