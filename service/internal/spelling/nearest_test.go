package spelling

import "testing"

func TestNearestFindsTheIntendedName(t *testing.T) {
	known := []string{"relay", "migrate", "broker.url", "consumer.prefetch"}
	for name, want := range map[string]string{
		"rely": "relay", "RELAI": "relay", "brokr.url": "broker.url", "consumer.prefecth": "consumer.prefetch", "demo": "", "": "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("nearest name to %q is %q, want %q", name, got, want)
		}
	}
}
