package diagram

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func shop() *Graph {
	return &Graph{
		Title: "Routes of shop", Description: "2 exchanges, 1 queue, 3 handlers",
		Nodes: []Node{
			{ID: "e:user", Label: "user", Detail: "topic", Shape: Round}, {ID: "e:order", Label: "order", Shape: Round},
			{ID: "q:shop", Label: "shop", Column: 1}, {ID: "h:1", Label: "user renamed", Detail: "main.go:12", Column: 2, Shape: Pill},
			{ID: "h:2", Label: `<script>alert("x")</script> & #`, Column: 2, Shape: Pill}, {ID: "h:3", Label: "sms\x1b[2J\u202e", Column: 2, Shape: Pill},
		},
		Edges: []Edge{
			{From: "e:user", To: "q:shop", Label: "#"}, {From: "e:order", To: "q:shop", Label: `paid.*|"x"`},
			{From: "q:shop", To: "h:1"}, {From: "q:shop", To: "h:2"}, {From: "q:shop", To: "h:3", Label: "not bound", Dashed: true},
			{From: "q:shop", To: "no such node"},
		},
	}
}

func TestMermaidAndDOTHaveNodesAndEdges(t *testing.T) {
	if got, want := shop().Mermaid(), `flowchart LR
  accTitle: Routes of shop
  accDescr: 2 exchanges, 1 queue, 3 handlers
  n0("user<br>topic")
  n1("order")
  n2["shop"]
  n3(["user renamed<br>main.go:12"])
  n4(["#60;script#62;alert(#34;x#34;)#60;/script#62; #38; #35;"])
  n5(["sms�[2J�"])
  n0 -->|"#35;"| n2
  n1 -->|"paid.*|#34;x#34;"| n2
  n2 --> n3
  n2 --> n4
  n2 -.->|"not bound"| n5
`; got != want {
		t.Errorf("Mermaid:\n%s\nwant\n%s", got, want)
	}
	got := shop().DOT()
	for _, want := range []string{
		"digraph {", `n0 [label="user\ntopic", shape=box, style=rounded];`, `n4 [label="<script>alert(\"x\")</script> & #", shape=ellipse];`,
		`{rank=same; n3; n4; n5}`, `n1 -> n2 [label="paid.*|\"x\""];`, `n2 -> n5 [label="not bound", style=dashed];`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("DOT lacks %s:\n%s", want, got)
		}
	}
}

// elements parses an SVG strictly and returns its elements and its text.
func elements(t *testing.T, svg string) (names []string, text string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return names, text
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			names = append(names, token.Name.Local)
		case xml.CharData:
			text += string(token)
		}
	}
}

func TestAnSVGIsAccessibleEscapedAndTheSameEachTime(t *testing.T) {
	svg := shop().SVG(nil)
	names, text := elements(t, svg)
	if slices.Contains(names, "script") || !strings.Contains(text, `<script>alert("x")</script> & #`) {
		t.Errorf("a label becomes markup:\n%s", svg)
	}
	if strings.ContainsAny(svg, "\x1b\u202e") {
		t.Error("the SVG can steer a terminal")
	}
	for _, want := range []string{
		`role="img"`, `aria-labelledby="diagram-title diagram-desc"`, `<title id="diagram-title">Routes of shop</title>`,
		`<desc id="diagram-desc">2 exchanges`, "currentColor", "prefers-color-scheme: dark", "stroke-dasharray",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("the SVG lacks %s:\n%s", want, svg)
		}
	}
	for range 20 {
		if shop().SVG(nil) != svg {
			t.Fatal("two drawings of one graph differ")
		}
	}
}

func TestAnInlineSVGNeedsNoStyle(t *testing.T) {
	svg := shop().SVG(&SVGOptions{Inline: true, ID: `a"b`})
	if names, _ := elements(t, svg); slices.Contains(names, "style") || strings.Contains(svg, "style=") {
		t.Errorf("a content security policy would block its style:\n%s", svg)
	}
	if !strings.Contains(svg, `<title id="a&#34;b-title">`) {
		t.Errorf("the id is not escaped:\n%s", svg)
	}
}

func TestNodesDoNotOverlapAndFitIntoTheDrawing(t *testing.T) {
	g := shop()
	p := place(g)
	for i, a := range p.boxes {
		if a.x < 0 || a.y < 0 || a.x+a.w > p.width || a.y+a.h > p.height {
			t.Errorf("node %d at %+v is outside %dx%d", i, a, p.width, p.height)
		}
		for j, b := range p.boxes[:i] {
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("nodes %d and %d overlap: %+v, %+v", i, j, a, b)
			}
		}
	}
}

func TestAnEmptyGraphIsStillADrawing(t *testing.T) {
	g := &Graph{Title: "nothing"}
	elements(t, g.SVG(nil))
	if g.Mermaid() == "" || g.DOT() == "" {
		t.Error("an empty graph has no text")
	}
}

func FuzzAnyLabelGivesAnSVGOfTheSameElements(f *testing.F) {
	f.Add("user", "#")
	f.Add("<a>&\"'\x00\xff", "]]>")
	f.Fuzz(func(t *testing.T, label, edge string) {
		g := &Graph{Title: label, Description: edge, Nodes: []Node{{ID: "a", Label: label}, {ID: "b", Label: "b", Detail: label, Column: 1}}, Edges: []Edge{{From: "a", To: "b", Label: "x" + edge}}}
		names, _ := elements(t, g.SVG(nil))
		if want := "svg title desc style defs marker path path text rect text rect text"; label != "" && !strings.HasPrefix(strings.Join(names, " "), want) {
			t.Errorf("elements %q, want %s", names, want)
		}
	})
}
