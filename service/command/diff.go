package command

import (
	"io"
	"strings"

	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
)

const (
	diffContext = 3         // unchanged lines around a change
	diffCost    = 4_000_000 // the most pairs of lines that are compared
)

// A diffLine is a line of two texts: ' ' in both, '-' only in the old one, '+' only in the new one.
type diffLine struct {
	sign byte
	text string
}

// writeDiff prints the lines that differ, with a few lines around them.
func writeDiff(w io.Writer, style output.Style, before, after string) {
	lines := diff(strings.Split(before, "\n"), strings.Split(after, "\n"))
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l.sign == ' ' {
			continue
		}
		for j := max(0, i-diffContext); j <= min(len(lines)-1, i+diffContext); j++ {
			near[j] = true
		}
	}
	skipped := false
	for i, l := range lines {
		if !near[i] {
			skipped = true
			continue
		}
		if skipped {
			report(w, "  …")
			skipped = false
		}
		text := string(l.sign) + " " + terminal.Printable(l.text)
		switch l.sign {
		case '-':
			text = style.Red(text)
		case '+':
			text = style.Green(text)
		}
		report(w, "%s", text)
	}
	if skipped {
		report(w, "  …")
	}
}

// diff returns the lines of both texts, by a longest common subsequence. For very long texts it only leaves out the common beginning
// and end.
func diff(a, b []string) []diffLine {
	var head, tail []diffLine
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, diffLine{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append([]diffLine{{' ', a[len(a)-1]}}, tail...)
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) > diffCost {
		return append(append(head, replaced(a, b)...), tail...)
	}
	common := make([][]int, len(a)+1) // common[i][j] is the length for a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			head = append(head, diffLine{' ', a[i]})
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			head = append(head, diffLine{'-', a[i]})
			i++
		default:
			head = append(head, diffLine{'+', b[j]})
			j++
		}
	}
	return append(append(head, replaced(a[i:], b[j:])...), tail...)
}

func replaced(a, b []string) (out []diffLine) {
	for _, text := range a {
		out = append(out, diffLine{'-', text})
	}
	for _, text := range b {
		out = append(out, diffLine{'+', text})
	}
	return out
}
