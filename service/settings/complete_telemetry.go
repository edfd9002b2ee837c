package settings

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/parley-go/parley/service/internal/spelling"
)

// components are the first words of parley's own log messages.
var components = []string{"console", "consumer", "inbox", "rabbitmq", "relay", "service", "settings"}

// telemetry checks telemetry and log.
func (c *completion) telemetry() {
	if text := c.s.Telemetry.OTLP; text != "" {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			c.mistake("telemetry.otlp", "is not an http or https URL", "write it as http://collector:4318")
		}
	} else if _, given := c.s.sources["telemetry.sample"]; given {
		c.warn("telemetry.sample", "has no effect without telemetry.otlp")
	}
	for name, level := range c.s.Log.Levels {
		if !slices.Contains(levels, level) {
			c.mistake("log.levels", fmt.Sprintf("%s: %q is not a level", name, level), "use "+alternatives(levels))
		}
		if near := spelling.Nearest(name, components); near != "" && near != name {
			c.warn("log.levels", fmt.Sprintf("parley has no component %q (did you mean %s?)", name, near))
		}
	}
}
