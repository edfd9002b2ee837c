package settings

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/parley-go/parley/service/internal/terminal"
)

// A Shown is a setting in printable form, with secrets hidden.
type Shown struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	// Source is the source of the value, as in Mistake, or "default", or "program".
	Source string `json:"source"`
}

// Show lists the settings that have a value, in the order of the struct.
func (s *Settings) Show() []Shown {
	var out []Shown
	for i := range fields() {
		f := &fields()[i]
		v := f.value(s)
		_, given := s.sources[f.key]
		if v.IsZero() && !(f.isOff && given) {
			continue
		}
		if f.kind == kindQueues {
			out = append(out, s.showQueues(f)...)
			continue
		}
		shown := Shown{Key: f.key, Value: f.shown(s), Source: s.sources[f.key].text}
		if shown.Source == "" {
			shown.Source = "default"
			if shown.text() != f.def {
				shown.Source = "program"
			}
		}
		out = append(out, shown)
	}
	return out
}

// text returns the value in the form of a flag.
func (s *Shown) text() string {
	if list, ok := s.Value.([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(s.Value)
}

// shown returns the value in the form of a settings file, with secrets hidden.
func (f *field) shown(s any) any {
	v := f.value(s)
	switch f.kind {
	case kindSecret:
		return hidden
	case kindURL:
		return v.Interface().(fmt.Stringer).String()
	case kindSecrets:
		return slices.Repeat([]string{hidden}, v.Len())
	case kindDuration:
		return shortDuration(time.Duration(v.Int()))
	case kindCredential:
		return v.Interface().(Credential).shown()
	case kindURLs:
		out := make([]string, v.Len())
		for i := range out {
			out[i] = v.Index(i).Interface().(URL).String()
		}
		return out
	case kindDurations:
		out := make([]string, v.Len())
		for i := range out {
			out[i] = shortDuration(time.Duration(v.Index(i).Int()))
		}
		return out
	case kindExchanges:
		list := v.Interface().([]Exchange)
		out := make([]string, len(list))
		for i, e := range list {
			out[i] = e.Name + ":" + cmp.Or(e.Type, "topic") + e.Arguments.shown()
		}
		return out
	case kindBinds:
		list := v.Interface().([]Bind)
		if IsAuto(list) {
			return "auto"
		}
		out := make([]string, len(list))
		for i, b := range list {
			out[i] = b.Exchange + ":" + cmp.Or(b.RoutingKey, "#")
		}
		return out
	}
	return v.Interface()
}

// shortDuration formats a duration without trailing zero units: 1m instead of 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Write writes a table of the settings, their values and sources.
func Write(w io.Writer, shown []Shown) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range shown {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", s.Key, terminal.Printable(s.text()), terminal.Printable(s.Source))
	}
	return tw.Flush()
}
