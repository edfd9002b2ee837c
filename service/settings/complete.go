package settings

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
)

// Complete reads secrets from their files, fills in defaults and checks settings that depend on each other. Load calls it; so does
// service.Open for settings that a program made. It reports all mistakes at once, as *Error.
func (s *Settings) Complete() error {
	if mistakes := s.complete(nil); len(mistakes) > 0 {
		return &Error{mistakes}
	}
	return nil
}

// complete is Complete without the settings that have failed already.
func (s *Settings) complete(failed map[string]bool) []Mistake {
	if s.completed {
		return nil
	}
	given := *s
	given.sources = maps.Clone(s.sources)
	s.completed, s.given = true, &given
	c := &completion{s: s, failed: failed}
	if s.sources == nil {
		s.sources, given.sources = map[string]source{}, map[string]source{}
		c.values() // made by a program: the values are not checked yet
	}
	s.warnings = nil
	c.secretFiles()
	c.defaults()
	c.broker()
	c.managementURL()
	c.rest()
	c.database()
	c.topology()
	c.consumer()
	c.queues()
	c.connections()
	c.login()
	c.telemetry()
	c.console()
	c.http()
	return c.mistakes
}

// http checks the endpoint of health checks and metrics.
func (c *completion) http() {
	s := &c.s.HTTP
	if s.Address != "" {
		c.address("http.address", s.Address, "127.0.0.1:8080")
	} else if s.Metrics {
		c.mistake("http.metrics", "there is no address to serve metrics on", "set http.address")
	}
}

// address checks an address to listen at, and returns its host. It reports whether there was no mistake.
func (c *completion) address(key, text, example string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		c.mistake(key, "is not host:port", "write it as "+example)
	}
	return host, err == nil
}

type completion struct {
	s        *Settings
	failed   map[string]bool
	mistakes []Mistake
}

func (c *completion) mistake(key, problem, hint string) {
	c.mistakes = append(c.mistakes, Mistake{Key: key, Source: c.s.sources[key].text, Problem: problem, Hint: hint})
}

func (c *completion) warn(key, text string) {
	where := c.s.sources[key].text
	if where == "" {
		where = key
	}
	c.s.warnings = append(c.s.warnings, where+": "+text)
}

// rank returns the layer that set a setting: 0 for none, 1 for the file or the program, 2 for the environment, 3 for a flag.
func (c *completion) rank(key string) int {
	if src, ok := c.s.sources[key]; ok {
		return src.rank
	}
	if !fieldByKey(key).value(c.s).IsZero() {
		return 1
	}
	return 0
}

// forget clears a setting that a higher layer has replaced by another setting.
func (c *completion) forget(key string) {
	fieldByKey(key).value(c.s).SetZero()
	delete(c.s.sources, key)
}

// prefer decides between two settings for the same value. The one of the higher layer wins; two on the same layer are a mistake.
// prefer reports whether there was no mistake.
func (c *completion) prefer(a, b string) bool {
	ra, rb := c.rank(a), c.rank(b)
	switch {
	case ra == 0 || rb == 0:
		return true
	case ra > rb:
		c.forget(b)
	case rb > ra:
		c.forget(a)
	default:
		c.mistake(a, a+" and "+b+" are both given", "give one of them")
		return false
	}
	return true
}

// values checks the values of settings that Load has not decoded.
func (c *completion) values() {
	for i := range fields() {
		f := &fields()[i]
		v := f.value(c.s)
		var err error
		switch {
		case v.IsZero():
		case f.kind == kindInt || f.kind == kindDuration:
			err = f.bounds(v.Int())
		case f.kind == kindDurations:
			err = f.checkDurations(v.Interface().([]time.Duration))
		case f.enum != nil:
			err = f.decodeText(c.s, v.String())
		case f.kind == kindExchanges:
			for j, e := range c.s.Exchanges {
				if e := f.checkPair([2]string{e.Name, e.Type}); e != nil {
					err = inItem(j, e)
				}
			}
		case f.kind == kindBinds:
			for j, b := range c.s.Binds {
				if IsAuto(c.s.Binds) {
					break
				}
				if e := f.checkPair([2]string{b.Exchange, b.RoutingKey}); e != nil {
					err = inItem(j, e)
				}
			}
		}
		if m, ok := errors.AsType[*hintedError](err); ok {
			c.mistake(f.key, m.problem, m.hint)
		}
	}
}

// secretFiles reads the files of the *_file settings into the settings that they replace.
func (c *completion) secretFiles() {
	for i := range fields() {
		if f := &fields()[i]; f.twin != "" {
			c.secretFile(f)
		}
	}
}

func (c *completion) secretFile(f *field) {
	if c.rank(f.key) == 0 || !c.prefer(f.key, f.twin) || c.rank(f.key) == 0 {
		return
	}
	name := f.value(c.s).String()
	text, err := os.ReadFile(name)
	if err != nil {
		c.mistake(f.key, err.Error(), "")
		return
	}
	twin := fieldByKey(f.twin)
	var value any = strings.TrimRight(string(text), "\r\n")
	if (twin.kind == kindSecrets || twin.kind == kindURLs) && !strings.HasPrefix(value.(string), "[") {
		value = linesOf(string(text))
	}
	if twin.kind == kindCredential {
		if value, err = yaml.Parser().Unmarshal(text); err != nil {
			c.mistake(f.key, "the file is neither a JSON object nor a YAML map", "")
			return
		}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		c.mistake(f.key, "the file "+name+" is empty", "")
	} else if err := twin.decode(c.s, value); err != nil {
		c.mistake(f.key, "the file's content "+err.Error(), "")
	}
	c.s.sources[f.twin] = source{c.rank(f.key), fmt.Sprintf("file %s (%s)", name, f.key)}
}

// linesOf returns the lines that are not empty. It does not split at commas: a secret may contain them.
func linesOf(text string) []any {
	var out []any
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func (c *completion) defaults() {
	for i := range fields() {
		f := &fields()[i]
		if f.def != "" && f.value(c.s).IsZero() && !c.failed[f.key] && !(f.isOff && c.rank(f.key) > 0) {
			if err := f.decodeText(c.s, f.def); err != nil {
				panic("settings: default of " + f.key + ": " + err.Error())
			}
		}
	}
}

func (c *completion) topology() {
	declared := map[string]bool{}
	for _, e := range c.s.Exchanges {
		if declared[e.Name] {
			c.mistake("exchanges", fmt.Sprintf("exchange %q is listed twice", e.Name), "keep one of them")
		}
		declared[e.Name] = true
	}
	if len(c.s.AppID) > 255 {
		c.mistake("app_id", "is longer than 255 bytes, the limit of AMQP", "")
	}
}
