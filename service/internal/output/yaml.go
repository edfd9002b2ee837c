package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/parley-go/parley/service/internal/terminal"
)

// writeYAML writes a value with the names and values of its JSON, in the same order. With item it is an item of a list.
func writeYAML(w io.Writer, value any, item bool) error {
	var text bytes.Buffer
	if err := terminal.WriteJSON(&text, value); err != nil {
		return err
	}
	dec := json.NewDecoder(&text)
	dec.UseNumber()
	node, err := yamlNode(dec)
	if err != nil {
		return err
	}
	if item {
		node = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{node}}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	_, err = io.WriteString(w, escapeYAML(out.String()))
	return err
}

// yamlNode reads the next value of a JSON document.
func yamlNode(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		return yamlGroup(dec, v)
	case string:
		return yamlText(v), nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v)}, nil
	}
}

// yamlGroup reads the members of an object or a list up to its end.
func yamlGroup(dec *json.Decoder, open json.Delim) (*yaml.Node, error) {
	group := &yaml.Node{Kind: yaml.MappingNode}
	if open == '[' {
		group.Kind = yaml.SequenceNode
	}
	for dec.More() {
		member, err := yamlNode(dec)
		if err != nil {
			return nil, err
		}
		group.Content = append(group.Content, member)
	}
	if len(group.Content) == 0 {
		group.Style = yaml.FlowStyle
	}
	_, err := dec.Token()
	return group, err
}

// yamlText returns a text that YAML reads as a text. Characters that are unsafe on a terminal need double quotes for their escapes.
func yamlText(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	if strings.ContainsFunc(text, terminal.Unsafe) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// escapeYAML escapes unsafe characters, which occur only in texts with double quotes.
func escapeYAML(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r != '\n' && terminal.Unsafe(r) {
			fmt.Fprintf(&b, `\U%08X`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
