package parley

import (
	"errors"
	"strings"
	"testing"
)

func TestFingerprintsGroupFailuresOfOneCause(t *testing.T) {
	for _, same := range [][]string{
		{
			`user 4711: insert: duplicate key "a@example.com" (request 9e3f4a89-1f2c-4d3e-8a9b-0c1d2e3f4a5b)`,
			`user 12: insert: duplicate key "b" (request 00000000-0000-4000-8000-000000000000)`,
		},
		{"order 9e3f4a89: not found", "order 17: not found", "order ab12cd34ef: not found", "order A-2024-17: not found", "order 0x1F: not found"},
		{"timeout after 1.5s", "timeout after 110ms", "timeout after 1m2.5s"},
		{"dial tcp 10.0.0.1:5432: refused", "dial tcp 192.168.7.20:5433: refused"},
		{"mail to ann.b+x@example.com bounced", "mail to bob@example.org bounced"},
		{"late since 2026-11-29T10:45:00Z", "late since 2025-01-01T00:00:00.5Z"},
		{"failed: " + strings.Repeat("7", 30) + strings.Repeat(" x", 250), "failed: 7" + strings.Repeat(" x", 250)},
		{`bad name "a \" b"`, `bad name "c"`}, {"column 'a'", "column 'b'"}, {"column `a`", "column `b`"},
	} {
		for _, text := range same[1:] {
			if one, two := Fingerprint("user", "renamed", same[0]), Fingerprint("user", "renamed", text); one != two || len(one) != 32 {
				t.Errorf("%q and %q have the fingerprints %q and %q, want the same (%q and %q)", same[0], text, one, two, withoutValues(same[0]), withoutValues(text))
			}
		}
	}
}

func TestFingerprintsKeepCausesApart(t *testing.T) {
	seen := map[string]string{}
	for _, of := range [][3]string{
		{"user", "renamed", "user 12: connection refused"}, {"user", "deleted", "user 12: connection refused"},
		{"shop", "renamed", "user 12: connection refused"}, {"user", "renamed", "user 12: not found"},
		{"user", "renamed", "connection refused"}, {"", "", "x"},
	} {
		got := Fingerprint(of[0], of[1], of[2])
		if other, ok := seen[got]; ok {
			t.Errorf("%q has the fingerprint of %q", of, other)
		}
		seen[got] = strings.Join(of[:], " ")
	}
}

func TestTheFingerprintOfADeliveryIsThatOfItsRouteAndError(t *testing.T) {
	d := &Delivery{Message: Message{Exchange: "user", RoutingKey: "renamed"}}
	if got, want := fingerprint(d, errors.New("user 7: gone")), Fingerprint("user", "renamed", "user 12: gone"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnOutcomeWithoutAnErrorHasNoFingerprint(t *testing.T) {
	if got := fingerprint(&Delivery{}, nil); got != "" {
		t.Errorf("got %q", got)
	}
}

// Error texts come from handlers and servers: any bytes give a fingerprint, and other digits in them do not change it.
func FuzzFingerprint(f *testing.F) {
	for _, text := range []string{"", "user 4711", `"a\"`, "'", "`", "\xff\x00", "a@b", strings.Repeat("é9", 400)} {
		f.Add("user", "renamed", text)
	}
	f.Fuzz(func(t *testing.T, exchange, key, text string) {
		got := Fingerprint(exchange, key, text)
		if (text == "") != (got == "") || got != "" && len(got) != 32 {
			t.Fatalf("%q has the fingerprint %q", text, got)
		}
		if strings.ContainsAny(withoutValues(text), "0123456789") {
			t.Errorf("%q keeps digits: %q", text, withoutValues(text))
		}
		other := []byte(text)
		for i, c := range other {
			if c >= '0' && c <= '9' {
				other[i] = '0' + ('9' - c)
			}
		}
		if got != Fingerprint(exchange, key, string(other)) {
			t.Errorf("%q and %q differ in digits only, and have other fingerprints", text, other)
		}
	})
}
