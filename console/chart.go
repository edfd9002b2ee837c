package console

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A chart is a line graph of the last hour, as numbers for an SVG of chartWidth by chartHeight.
type chart struct {
	Title  string
	Lines  []chartLine
	Top    string   // the value of the upper edge
	Latest string   // a sentence with the latest values, for readers of the page who do not see the graph
	Marks  []string // labels of the time axis
}

type chartLine struct {
	Name   string
	Class  string
	Points []string // one list for each part without a gap, such as "0,10 5,12"
}

const (
	chartWidth  = 600
	chartHeight = 120
	chartSpan   = time.Hour
	// gap is the time without a sample after which a line is interrupted.
	gap = 3 * sampleEvery
)

type point struct {
	at    time.Time
	value float64
}

// throughput draws messages per second; ok is false if nothing is known.
func (s *source) throughput(now time.Time) (chart, bool) {
	list := s.samples.last(now.Add(-chartSpan))
	per := func(of func(*sampleAt) int64) (out []point) {
		for i := 1; i < len(list); i++ {
			a, b := of(&list[i-1]), of(&list[i])
			if took := list[i].at.Sub(list[i-1].at).Seconds(); a >= 0 && b >= a && took > 0 {
				out = append(out, point{list[i].at, float64(b-a) / took})
			}
		}
		return out
	}
	lines := []series{
		{"published", "line-a", per(func(p *sampleAt) int64 { return p.Published })},
		{"handled", "line-b", per(func(p *sampleAt) int64 { return p.Handled })},
		{"failed", "line-c", per(func(p *sampleAt) int64 { return p.Failed })},
	}
	return draw("Messages per second, last hour", lines, now, func(v float64) string { return fmt.Sprintf("%.3g/s", v) })
}

// lag draws how long the oldest due record has been due.
func (s *source) lag(now time.Time) (chart, bool) {
	var points []point
	for _, p := range s.samples.last(now.Add(-chartSpan)) {
		points = append(points, point{p.at, p.Lag.Seconds()})
	}
	return draw("Lag of the outbox, last hour", []series{{"lag", "line-a", points}}, now, seconds)
}

// lagLines is the most exchanges of a graph.
const lagLines = 6

// lagByExchange draws how long the oldest due record of each exchange has been due, for the exchanges with the longest lag.
func (s *source) lagByExchange(now time.Time) (chart, bool) {
	list := s.samples.last(now.Add(-chartSpan))
	longest := map[string]time.Duration{}
	for _, p := range list {
		for name, lag := range p.Lags {
			longest[name] = max(longest[name], lag)
		}
	}
	names := slices.SortedFunc(maps.Keys(longest), func(a, b string) int {
		return cmp.Or(cmp.Compare(longest[b], longest[a]), cmp.Compare(a, b))
	})
	title := "Lag by exchange, last hour"
	if len(names) > lagLines {
		title = fmt.Sprintf("Lag by exchange, last hour: the %d longest of %d", lagLines, len(names))
		names = names[:lagLines]
	}
	var lines []series
	for i, name := range names {
		one := series{name: printable(name), class: "line-" + string(rune('a'+i))}
		for _, p := range list {
			if p.Lags != nil {
				one.points = append(one.points, point{p.at, p.Lags[name].Seconds()})
			}
		}
		lines = append(lines, one)
	}
	return draw(title, lines, now, seconds)
}

// seconds formats a number of seconds.
func seconds(v float64) string { return age(time.Duration(v * float64(time.Second))) }

type series struct {
	name, class string
	points      []point
}

func draw(title string, all []series, now time.Time, format func(float64) string) (chart, bool) {
	top := 0.0
	for _, s := range all {
		for _, p := range s.points {
			top = max(top, p.value)
		}
	}
	c := chart{Title: title, Top: format(top)}
	if top == 0 {
		top = 1
	}
	var latest []string
	for _, s := range all {
		if len(s.points) == 0 {
			continue
		}
		latest = append(latest, s.name+" "+format(s.points[len(s.points)-1].value))
		c.Lines = append(c.Lines, chartLine{s.name, s.class, polylines(s.points, now, top)})
	}
	for minutes := 60; minutes >= 0; minutes -= 15 {
		c.Marks = append(c.Marks, now.Add(-time.Duration(minutes)*time.Minute).UTC().Format("15:04"))
	}
	c.Latest = "Latest: " + strings.Join(latest, ", ") + "."
	return c, len(latest) > 0
}

func polylines(points []point, now time.Time, top float64) (out []string) {
	var b strings.Builder
	for i, p := range points {
		if i > 0 && p.at.Sub(points[i-1].at) > gap {
			out = append(out, b.String())
			b.Reset()
		}
		x := chartWidth * (1 - now.Sub(p.at).Seconds()/chartSpan.Seconds())
		fmt.Fprintf(&b, "%.1f,%.1f ", x, chartHeight-2-(chartHeight-10)*p.value/top)
	}
	return append(out, b.String())
}
