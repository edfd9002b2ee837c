package console

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// inspect parses a page and returns what must not be in it: inline script or style, addresses of other sites, and defects that keep
// keyboards and screen readers out: missing landmarks, names or labels.
func inspect(body string) []string {
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		return []string{err.Error()}
	}
	in := &inspector{ids: map[string]int{}, labels: map[string]bool{}, count: map[string]int{}}
	in.collect(root)
	in.walk(root, nil)
	for tag, want := range map[string]int{"main": 1, "h1": 1, "title": 1} {
		if in.count[tag] != want {
			in.bad("%d elements %s, want %d", in.count[tag], tag, want)
		}
	}
	for id, n := range in.ids {
		if n > 1 {
			in.bad("the id %q is there %d times", id, n)
		}
	}
	return in.problems
}

type inspector struct {
	ids      map[string]int
	labels   map[string]bool
	count    map[string]int
	problems []string
}

func (in *inspector) bad(format string, args ...any) {
	in.problems = append(in.problems, fmt.Sprintf(format, args...))
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func (in *inspector) collect(n *html.Node) {
	if n.Type == html.ElementNode {
		if n.Namespace == "" {
			in.count[n.Data]++
		}
		if id, ok := attr(n, "id"); ok {
			in.ids[id]++
		}
		if to, ok := attr(n, "for"); ok && n.Data == "label" {
			in.labels[to] = true
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		in.collect(c)
	}
}

func (in *inspector) walk(n *html.Node, parents []string) {
	if n.Type == html.ElementNode {
		in.element(n, parents)
		parents = append(parents, n.Data)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		in.walk(c, parents)
	}
}

var allowedTags = strings.Fields(`html head body meta title link script header footer nav main section h1 h2 p a form input select option textarea button label fieldset legend datalist
 ul li dl div dt dd table caption thead tbody tr th td pre code span strong small br time figure figcaption details summary desc defs marker svg g line text polyline path rect`)

func (in *inspector) element(n *html.Node, parents []string) {
	ok := false
	for _, tag := range allowedTags {
		ok = ok || tag == n.Data
	}
	if !ok {
		in.bad("element <%s>", n.Data)
	}
	for _, a := range n.Attr {
		value := strings.ToLower(strings.TrimSpace(a.Val))
		switch name := strings.ToLower(a.Key); {
		case name == "style" || name == "srcdoc" || strings.HasPrefix(name, "on"):
			in.bad("attribute %s on <%s>", a.Key, n.Data)
		case name != "href" && name != "src" && name != "action" && name != "formaction" && name != "data-tail":
		case !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#") && value != "data:,":
			in.bad("%s=%q", a.Key, a.Val)
		case strings.HasPrefix(value, "//") || strings.HasPrefix(value, `/\\`):
			in.bad("%s=%q leads to another site", a.Key, a.Val)
		}
	}
	switch n.Data {
	case "script":
		if _, ok := attr(n, "src"); !ok || n.FirstChild != nil {
			in.bad("inline script")
		}
	case "html":
		if lang, _ := attr(n, "lang"); lang == "" {
			in.bad("<html> has no lang")
		}
	case "input", "select", "textarea":
		in.labelled(n, parents)
	case "svg":
		if label, _ := attr(n, "aria-label"); label == "" && !hasChild(n, "title") {
			in.bad("<svg> has no aria-label")
		}
	case "th":
		if scope, _ := attr(n, "scope"); scope == "" {
			in.bad("<th> has no scope")
		}
	case "button", "a", "caption", "h1", "h2", "legend", "title", "label":
		if label, _ := attr(n, "aria-label"); label == "" && strings.TrimSpace(textOf(n)) == "" {
			in.bad("<%s> has no text", n.Data)
		}
	case "table":
		if n.FirstChild == nil || !hasChild(n, "caption") {
			in.bad("<table> has no caption")
		}
	}
}

func (in *inspector) labelled(n *html.Node, parents []string) {
	if kind, _ := attr(n, "type"); kind == "hidden" {
		return
	}
	if _, hidden := attr(n, "hidden"); hidden {
		return
	}
	id, _ := attr(n, "id")
	label, _ := attr(n, "aria-label")
	inside := false
	for _, p := range parents {
		inside = inside || p == "label"
	}
	if !inside && label == "" && !in.labels[id] {
		name, _ := attr(n, "name")
		in.bad("<%s name=%q> has no label", n.Data, name)
	}
}

func textOf(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(textOf(c))
	}
	return b.String()
}

func hasChild(n *html.Node, tag string) bool {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.Type == html.ElementNode && c.Data == tag {
			return true
		}
	}
	return false
}

func TestTheInspectionFindsWhatItLooksFor(t *testing.T) {
	for body, want := range map[string]string{
		`<script>alert(1)</script>`:                   "inline script",
		`<p onclick="x()">a</p>`:                      "attribute onclick",
		`<p style="color:red">a</p>`:                  "attribute style",
		`<img src=x>`:                                 "element <img>",
		`<a href="javascript:alert(1)">a</a>`:         "href",
		`<a href="//evil.example">a</a>`:              "another site",
		`<form action="https://evil.example"></form>`: "action",
		`<input name=a>`:                              "no label",
		`<table></table>`:                             "no caption",
		`<button></button>`:                           "no text",
		`<p id=a></p><p id=a></p>`:                    "2 times",
		`<p>a</p>`:                                    "elements main",
	} {
		if got := strings.Join(inspect(body), "; "); !strings.Contains(got, want) {
			t.Errorf("%s: found %q, want %q", body, got, want)
		}
	}
}
