package settings

import "strings"

// Need returns an *Error that names the missing ones of these settings, or nil if all are set. For broker.url, broker.urls and
// broker.host count as well, and for queue, queues.
func (s *Settings) Need(keys ...string) error {
	var missing []Mistake
	for _, key := range keys {
		f := fieldByKey(key)
		if !f.value(s).IsZero() || key == "broker.url" && s.HasBroker() || key == "queue" && len(s.Queues) > 0 {
			continue
		}
		ways := []string{key + " in the settings file", f.env()}
		if f.flag() != "" {
			ways = append(ways, "--"+f.flag())
		}
		missing = append(missing, Mistake{Key: key, Problem: "is missing", Hint: "set " + strings.Join(ways, ", or ")})
	}
	if len(missing) == 0 {
		return nil
	}
	return &Error{missing}
}
