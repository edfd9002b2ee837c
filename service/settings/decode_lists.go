package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley/service/internal/spelling"
)

// decodeTextList reads a list from a text: a JSON list, or items separated by commas, such as "orders,audit:fanout" for exchanges
// and "orders:order.*,audit" for binds.
func (f *field) decodeTextList(s any, text string) error {
	switch {
	case f.kind == kindBinds && strings.TrimSpace(text) == "auto":
		return f.set(s, []Bind{AutoBind})
	case f.kind == kindDurations && strings.TrimSpace(text) == "none":
		return f.set(s, []time.Duration{})
	}
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		var items []any
		if err := json.Unmarshal([]byte(text), &items); err != nil {
			if f.kind == kindSecrets || f.kind == kindURLs {
				return wrong("is not a JSON list", "") // the parser's error would show a part of the text
			}
			return wrong("is not a JSON list: "+err.Error(), "")
		}
		return f.decodeList(s, items)
	}
	var items []any
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		name, second, ok := cutPair(item)
		switch {
		case inQuotes(item):
			return errInQuotes
		case f.kind == kindDurations || f.kind == kindSecrets || f.kind == kindURLs:
			items = append(items, item)
		case inQuotes(second):
			return errInQuotes
		case ok:
			items = append(items, []any{name, second})
		default:
			items = append(items, name)
		}
	}
	return f.decodeList(s, items)
}

// cutPair splits name:value. Blanks around both are no part of them.
func cutPair(item string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(item, ":")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok
}

// decodeList reads a list. Its items are durations, secrets, or names and pairs of names.
func (f *field) decodeList(s any, items []any) error {
	switch f.kind {
	case kindDurations:
		return f.decodeDurations(s, items)
	case kindSecrets:
		return f.decodeSecrets(s, items)
	case kindURLs:
		return f.decodeURLs(s, items)
	case kindQueues:
		return f.decodeQueueNames(s, items)
	}
	var errs []error
	pairs := make([][2]string, len(items))
	arguments := make([]Arguments, len(items))
	second := "type"
	switch f.kind {
	case kindExchanges:
	case kindBinds:
		second = "routing_key"
	default:
		return f.wrongKind(items)
	}
	for i, item := range items {
		var err error
		if f.kind == kindExchanges {
			if item, arguments[i], err = withoutArguments(item); err != nil {
				errs = append(errs, inItem(i, err))
			}
		}
		if pairs[i], err = f.pair(item, second); err != nil {
			errs = append(errs, inItem(i, err))
		} else if err = f.checkPair(pairs[i]); err != nil {
			errs = append(errs, inItem(i, err))
		}
	}
	if f.kind == kindExchanges {
		out := make([]Exchange, len(pairs))
		for i, p := range pairs {
			out[i] = Exchange{p[0], p[1], arguments[i]}
		}
		return errors.Join(append(errs, f.set(s, out))...)
	}
	out := make([]Bind, len(pairs))
	for i, p := range pairs {
		out[i] = Bind{p[0], p[1]}
	}
	return errors.Join(append(errs, f.set(s, out))...)
}

func inItem(i int, err error) error {
	var m *hintedError
	if errors.As(err, &m) {
		return wrong(fmt.Sprintf("item %d: %s", i+1, m.problem), m.hint)
	}
	return fmt.Errorf("item %d: %w", i+1, err)
}

// pair reads "name", [name, second] or {name: …, second: …}.
func (f *field) pair(item any, second string) (p [2]string, err error) {
	first := "name"
	if f.kind == kindBinds {
		first = "exchange"
	}
	shape := wrong("must be a name, or a name and a "+second, fmt.Sprintf("write a name or {%s: …, %s: …}", first, second))
	switch v := item.(type) {
	case string:
		p[0] = v
	case []any:
		if len(v) == 0 || len(v) > 2 {
			return p, shape
		}
		for i, part := range v {
			text, ok := part.(string)
			if !ok {
				return p, shape
			}
			p[i] = text
		}
	case map[string]any:
		for key, value := range v {
			text, ok := value.(string)
			switch {
			case key != first && key != second:
				return p, wrong(fmt.Sprintf("unknown name %q", key), didYouMeanOf(key, first, second))
			case !ok:
				return p, wrong(fmt.Sprintf("%s must be a text, not %s", key, describe(value)), "put it in quotes")
			case key == first:
				p[0] = text
			default:
				p[1] = text
			}
		}
	default:
		return p, shape
	}
	return p, nil
}

func didYouMeanOf(name string, known ...string) string {
	if n := spelling.Nearest(name, known); n != "" {
		return "did you mean " + n + "?"
	}
	return "use " + strings.Join(known, " and ")
}

func (f *field) checkPair(p [2]string) error {
	if p[0] == "" {
		return wrong("has no exchange name", "the default exchange cannot be declared or bound")
	}
	if len(p[0]) > 255 || len(p[1]) > 255 {
		return wrong("is longer than 255 bytes, the limit of AMQP", "")
	}
	if f.kind != kindExchanges || p[1] == "" || strings.HasPrefix(p[1], "x-") {
		return nil
	}
	types := []string{"topic", "direct", "fanout", "headers"}
	for _, t := range types {
		if p[1] == t {
			return nil
		}
	}
	return wrong(fmt.Sprintf("type %q of exchange %q is not known", p[1], p[0]), "use "+alternatives(types))
}

func (f *field) decodeDurations(s any, items []any) error {
	out := make([]time.Duration, len(items))
	for i, item := range items {
		text, ok := item.(string)
		d, err := time.ParseDuration(text)
		if !ok || err != nil {
			return inItem(i, wrong("is not a duration", "write it as 5s, 300ms or 1m30s"))
		}
		out[i] = d
	}
	if err := f.checkDurations(out); err != nil {
		return err
	}
	return f.set(s, out)
}

// checkDurations checks the items of a list.
func (f *field) checkDurations(list []time.Duration) error {
	together := time.Duration(0)
	for i, d := range list {
		together += d
		err := f.bounds(int64(d))
		if err == nil && f.inSeconds && d%time.Second != 0 {
			err = wrong("must be in whole seconds", "write it as 2s or 1m30s")
		}
		if err != nil {
			return inItem(i, err)
		}
	}
	if !f.inSeconds && together > immediateLimit {
		return wrong(fmt.Sprintf("takes %v together, the limit is %v", together, immediateLimit), "use retry_delays for the later retries")
	}
	return nil
}

// immediateLimit is the limit of parley.RetryPolicy: a delivery stays unacked during its immediate retries.
const immediateLimit = 20 * time.Minute

// decodeURLs reads a list of URLs. Its errors do not contain them.
func (f *field) decodeURLs(s any, items []any) error {
	out := make([]URL, len(items))
	for i, item := range items {
		text, ok := item.(string)
		if !ok {
			return inItem(i, wrong("must be a URL, not "+describe(item), "put it in quotes"))
		}
		out[i] = URL(text)
	}
	return f.set(s, out)
}

// decodeSecrets reads a list of texts. Its errors do not contain the texts.
func (f *field) decodeSecrets(s any, items []any) error {
	out := make([]Secret, len(items))
	for i, item := range items {
		text, ok := item.(string)
		if !ok {
			return inItem(i, wrong("must be a text, not "+describe(item), "put it in quotes"))
		}
		out[i] = Secret(text)
	}
	return f.set(s, out)
}
