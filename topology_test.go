package parley

import (
	"strings"
	"testing"
)

func TestARefusedDeclarationSaysHowToFixIt(t *testing.T) {
	for code, hint := range map[int]string{403: "grant the user", 404: "declare it", 406: "other arguments"} {
		err := &TopologyError{Object: `queue "orders"`, Code: code, Reason: "REFUSED"}
		if text := err.Error(); !strings.HasPrefix(text, `declare queue "orders": REFUSED`) || !strings.Contains(text, hint) {
			t.Errorf("code %d: %q does not name the object, the reason and the hint %q", code, text, hint)
		}
	}
}

func TestTopologyModesHaveTheNamesOfTheSetting(t *testing.T) {
	for mode, want := range map[TopologyMode]string{
		TopologyDeclare: "declare", TopologyVerify: "verify", TopologyNone: "none", 7: "TopologyMode(7)",
	} {
		if got := mode.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
