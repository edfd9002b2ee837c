package settings

import "testing"

func TestEverySettingHasASample(t *testing.T) {
	for _, f := range fields() {
		if _, ok := samples[f.key]; !ok {
			t.Errorf("no sample for %s: add one to samples", f.key)
		}
		if f.doc == "" {
			t.Errorf("%s has no doc", f.key)
		}
	}
	if len(samples) != len(fields()) {
		t.Errorf("%d samples for %d settings", len(samples), len(fields()))
	}
}
