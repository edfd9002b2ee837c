package parley

import "testing"

func TestTextOfSendersShowsNoHiddenCharactersInLogs(t *testing.T) {
	for in, want := range map[string]string{
		"plain äöü 漢字":                    "plain äöü 漢字",
		"paid\u202etxt.exe":               `paid\u202etxt.exe`,
		"zero\u200bwidth\u3164\U000e0041": `zero\u200bwidth\u3164\U000e0041`,
		"esc\x1b[2J bell\x07":             `esc\x1b[2J bell\a`,
		"line\u2028end":                   `line\u2028end`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}
