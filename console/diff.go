package console

import (
	"slices"
	"strings"
)

// A diffLine is a line of a comparison. Mark is "+", "-" or " "; "…" stands for equal lines that are left out.
type diffLine struct{ Mark, Text string }

const (
	// diffCells bounds the work of a comparison: lines of the one side times lines of the other.
	diffCells = 4_000_000
	// diffContext is how many equal lines are shown around a change.
	diffContext = 3
)

// diff compares two texts line by line.
func diff(before, after string) []diffLine {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []diffLine
	add := func(mark string, lines []string) {
		for _, line := range lines {
			out = append(out, diffLine{mark, printable(line)})
		}
	}
	add(" ", a[:head])
	changedA, changedB := a[head:len(a)-tail], b[head:len(b)-tail]
	if len(changedA)*len(changedB) > diffCells {
		add("-", changedA)
		add("+", changedB)
	} else {
		out = append(out, longestCommon(changedA, changedB)...)
	}
	add(" ", a[len(a)-tail:])
	return shorten(out)
}

// longestCommon compares by the longest common subsequence.
func longestCommon(a, b []string) (out []diffLine) {
	length := make([][]int32, len(a)+1) // of the longest common subsequence of a[i:] and b[j:]
	for i := range length {
		length[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, diffLine{" ", printable(a[i])})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && length[i+1][j] >= length[i][j+1]:
			out = append(out, diffLine{"-", printable(a[i])})
			i++
		default:
			out = append(out, diffLine{"+", printable(b[j])})
			j++
		}
	}
	return out
}

// shorten leaves out equal lines that are far from every change.
func shorten(lines []diffLine) (out []diffLine) {
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l.Mark != " " {
			for k := max(0, i-diffContext); k <= min(len(lines)-1, i+diffContext); k++ {
				near[k] = true
			}
		}
	}
	if !slices.Contains(near, true) {
		return nil // the texts are equal
	}
	for i, l := range lines {
		switch {
		case near[i]:
			out = append(out, l)
		case i == 0 || near[i-1]:
			out = append(out, diffLine{"…", ""})
		}
	}
	return out
}
