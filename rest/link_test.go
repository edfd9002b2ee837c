package rest

import "testing"

func FuzzNextLink(f *testing.F) {
	for _, s := range []string{`<a?b>; rel="next"`, `<a>; rel=prev, <b>; title="x,y;\""; rel="last next"`, `<`, `<a>;rel=`, `,,<>;`, `<a>; rel="next`} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, value string) { nextLink([]string{value}) })
}

func TestNextLinkFollowsRFC8288(t *testing.T) {
	for value, want := range map[string]string{
		`<https://h/x?page=2>; rel="next"`:              "https://h/x?page=2",
		`<a>; rel="prev", <b>; rel=next`:                "b",
		`<a,b;c>; title="x, <y>; \"z"; REL="last NEXT"`: "a,b;c",
		`<a>; rel="nextish"`:                            "",
		`<a>; rev="next"`:                               "",
		`<a>; rel=prev; rel=next`:                       "", // only the first counts
		`nonsense`:                                      "",
		`<a`:                                            "",
		`<a>; rel="prev", <b>; rel="next", <c>; rel="next"`: "b",
	} {
		if got := nextLink([]string{value}); got != want {
			t.Errorf("Link %s = %q, want %q", value, got, want)
		}
	}
}
