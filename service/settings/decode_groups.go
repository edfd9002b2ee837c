package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Arguments are the arguments of a queue or an exchange: texts, true or false, and whole numbers.
type Arguments map[string]any

// shown returns the arguments in the form of a settings file, or "".
func (a Arguments) shown() string {
	if len(a) == 0 {
		return ""
	}
	parts := make([]string, 0, len(a))
	for _, name := range slices.Sorted(maps.Keys(a)) {
		parts = append(parts, fmt.Sprintf("%s: %v", name, a[name]))
	}
	return " {" + strings.Join(parts, ", ") + "}"
}

// decodeGroup reads a group from a text: YAML or JSON. Queues without options may also be names separated by commas, and levels
// may be relay:debug,rabbitmq:warn.
func (f *field) decodeGroup(s any, text string) error {
	trimmed := strings.TrimSpace(text)
	if !strings.HasPrefix(trimmed, "{") && !strings.HasPrefix(trimmed, "[") {
		return f.decodeWords(s, trimmed)
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil { // JSON is YAML
		return wrong("is neither a JSON object nor a YAML map", "")
	}
	if err := f.decode(s, value); err != nil {
		return err
	}
	if f.kind == kindQueues {
		if all, ok := s.(*Settings); ok {
			all.sortQueues(orderOf([]byte(text), ""))
		}
	}
	return nil
}

func (f *field) decodeWords(s any, text string) error {
	names, group := []any{}, map[string]any{}
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		name, value, ok := cutPair(item)
		if inQuotes(item) || inQuotes(value) {
			return errInQuotes
		}
		if ok == (f.kind == kindQueues) {
			return f.wrongKind(text)
		}
		names, group[name] = append(names, item), value
	}
	if f.kind == kindQueues {
		return f.decodeQueueNames(s, names)
	}
	return f.decode(s, group)
}

// decodeArguments checks and copies arguments.
func (f *field) decodeArguments(s any, group map[string]any) error {
	arguments, err := argumentsOf(group)
	return errors.Join(err, f.set(s, arguments))
}

func argumentsOf(group map[string]any) (Arguments, error) {
	out := Arguments{}
	for _, name := range slices.Sorted(maps.Keys(group)) {
		switch v := group[name].(type) {
		case string, bool, int64:
			out[name] = v
		case int:
			out[name] = int64(v)
		case float64:
			if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
				return nil, wrong(fmt.Sprintf("argument %s must be a text, a whole number, true or false", name), "")
			}
			out[name] = int64(v)
		default:
			return nil, wrong(fmt.Sprintf("argument %s must be a text, a whole number, true or false, not %s", name, describe(v)), "")
		}
	}
	return out, nil
}

// withoutArguments takes the arguments out of an exchange that is written as a group.
func withoutArguments(item any) (any, Arguments, error) {
	group, ok := item.(map[string]any)
	if !ok || group["arguments"] == nil {
		return item, nil, nil
	}
	rest := maps.Clone(group)
	delete(rest, "arguments")
	list, ok := group["arguments"].(map[string]any)
	if !ok {
		return rest, nil, wrong("arguments must be a group, not "+describe(group["arguments"]), "write arguments: {alternate-exchange: lost}")
	}
	arguments, err := argumentsOf(list)
	return rest, arguments, err
}

// levels are the levels of the logger.
var levels = []string{"debug", "info", "warn", "error"}

func (f *field) decodeLevels(s any, group map[string]any) error {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(group)) {
		level, _ := group[name].(string)
		if !slices.Contains(levels, level) {
			return wrong(fmt.Sprintf("%s: %v is not a level", name, group[name]), "use "+alternatives(levels))
		}
		out[name] = level
	}
	return f.set(s, out)
}

// decodeQueueNames reads a list of queues without options.
func (f *field) decodeQueueNames(s any, items []any) error {
	group := map[string]any{}
	var order []string
	for i, item := range items {
		name, ok := item.(string)
		if !ok {
			return inItem(i, wrong("must be the name of a queue, not "+describe(item), "write queues as a group: {orders: {binds: [order]}}"))
		}
		if _, twice := group[name]; twice {
			return inItem(i, wrong(fmt.Sprintf("queue %q is listed twice", name), "keep one of them"))
		}
		group[name], order = nil, append(order, name)
	}
	if err := f.decodeQueues(s, group); err != nil {
		return err
	}
	s.(*Settings).sortQueues(order)
	return nil
}

// decodeQueues reads a group of queues, by name. The order of a group is lost: see sortQueues.
func (f *field) decodeQueues(s any, group map[string]any) error {
	var errs []error
	var out []Queue
	for _, name := range slices.Sorted(maps.Keys(group)) {
		q := Queue{Name: name}
		if err := decodeQueue(&q, group[name]); err != nil {
			errs = append(errs, err)
		}
		out = append(out, q)
	}
	return errors.Join(append(errs, f.set(s, out))...)
}

func decodeQueue(q *Queue, value any) error {
	if value == nil {
		return nil
	}
	options, ok := value.(map[string]any)
	if !ok {
		return wrong(fmt.Sprintf("queue %q must be a group of settings, not %s", q.Name, describe(value)), "write its options below its name, such as concurrency: 4")
	}
	var names []string
	for i := range queueFields() {
		names = append(names, queueFields()[i].key)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(options)) {
		i := slices.Index(names, name)
		if i < 0 {
			errs = append(errs, wrong(fmt.Sprintf("%s.%s: unknown setting", q.Name, name), didYouMeanOf(name, names...)))
			continue
		}
		f := &queueFields()[i]
		if err := f.decode(q, options[name]); err != nil {
			errs = append(errs, inOption(q.Name+"."+name, err))
		}
		if f.isOff && options[name] != nil && !f.given(q) {
			f.value(q).SetInt(-1) // an explicit 0
		}
	}
	return errors.Join(errs...)
}

func inOption(name string, err error) error {
	if m, ok := errors.AsType[*hintedError](err); ok {
		return wrong(name+": "+m.problem, m.hint)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// sortQueues sorts the queues as the settings list them.
func (s *Settings) sortQueues(order []string) {
	slices.SortStableFunc(s.Queues, func(a, b Queue) int { return slices.Index(order, a.Name) - slices.Index(order, b.Name) })
}

// orderOf returns the keys of a YAML map in the order of the text: those of the map called name, or of the whole text.
func orderOf(text []byte, name string) []string {
	var document yaml.Node
	if yaml.Unmarshal(text, &document) != nil || len(document.Content) == 0 {
		return nil
	}
	at := document.Content[0]
	if name != "" {
		at = valueOf(at, name)
	}
	if at == nil || at.Kind != yaml.MappingNode {
		return nil
	}
	var out []string
	for i := 0; i+1 < len(at.Content); i += 2 {
		out = append(out, at.Content[i].Value)
	}
	return out
}

// secondDocument reports whether anything follows the first document of a YAML text. A line --- or a comment at the end is nothing.
func secondDocument(text []byte) bool {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	for n := 0; ; n++ {
		var document yaml.Node
		err := documents.Decode(&document)
		switch {
		case errors.Is(err, io.EOF), err != nil && n == 0: // an error in the first document is reported with its line
			return false
		case err != nil, n > 0 && len(document.Content) > 0 && document.Content[0].Tag != "!!null":
			return true
		}
	}
}

func valueOf(group *yaml.Node, name string) *yaml.Node {
	if group.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(group.Content); i += 2 {
		if group.Content[i].Value == name {
			return group.Content[i+1]
		}
	}
	return nil
}
