package settings

import (
	"slices"
	"testing"
)

func TestFlagsWithAFixedListOfValuesAreCompleted(t *testing.T) {
	values := FlagValues()
	for flag, want := range map[string]string{"relay-mode": "parallel", "topology": "verify", "database-migrate": "true"} {
		if !slices.Contains(values[flag], want) {
			t.Errorf("--%s is completed by %q, want %s among them", flag, values[flag], want)
		}
	}
	if _, ok := values["broker-password"]; ok {
		t.Error("a secret has a flag")
	}
}
