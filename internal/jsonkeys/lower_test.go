package jsonkeys

import "testing"

func TestUnderscoreizeKeyLowersLikePython(t *testing.T) {
	for key, want := range map[string]string{
		"İstanbul": "i\u0307stanbul",
		"ΟΔΟΣ":     "οδος", // final sigma
		"ΟΔΟΣ ΣΑ":  "οδος σα",
		"Σ":        "σ",    // no letter before it
		"aΣ'b":     "aσ'b", // the apostrophe stands inside the word
		"aΣ'":      "aς'",
	} {
		wantKey(t, "UnderscoreizeKey", key, UnderscoreizeKey(key, false), want)
	}
}
