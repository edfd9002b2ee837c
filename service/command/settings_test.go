package command

import (
	"strings"
	"testing"

	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestSettingsCommandsCheckShowAndDescribe(t *testing.T) {
	file := servicetest.WriteFile(t, "parley.yaml", "broker: {url: 'amqp://u:cAnArY@example.com/'}\nqueue: q\nbinds: [x]\n")
	wantText(t, mustCall(t, ExitOK, "settings", "check", "--settings", file), "are valid", "unencrypted", `exchange "x" is not listed in exchanges`)
	for _, show := range []string{
		mustCall(t, ExitOK, "settings", "show", "--settings", file),
		mustCall(t, ExitOK, "settings", "show", "--json", "--settings", file, "--app-id=me"),
	} {
		wantText(t, show, "parley.yaml: queue", "relay.batch_size", "default")
		if strings.Contains(show, "cAnArY") {
			t.Errorf("the password is shown:\n%s", show)
		}
	}
	wantText(t, mustCall(t, ExitOK, "settings", "schema"), `"additionalProperties": false`)
	wantText(t, mustCall(t, ExitUsage, "settings", "check", "--settings", "no such file"), "read the file")
}
