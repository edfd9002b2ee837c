package parley_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

type labelled struct {
	Label   string
	Nested  []map[string]any
	hidden  string
	Skipped string `json:"-"`
}

func TestATextThatIsNotUTF8CannotBePublished(t *testing.T) {
	const latin1 = "caf\xe9"
	record := map[string]func(v any) error{
		"event": func(v any) error { _, err := parley.NewEvent[any]("a", "b").Record(v); return err },
		"struct": func(v any) error {
			_, err := parley.NewEvent[labelled]("a", "b").Record(labelled{Nested: []map[string]any{{"k": v}}})
			return err
		},
		"command": func(v any) error {
			_, err := parley.NewCommand[map[string]any]("a", "b").Record(map[string]any{"k": v})
			return err
		},
		"call": func(v any) error {
			_, err := parley.NewCall[any, any]("a", "b").Record(v, parley.WithReplyTo("r"))
			return err
		},
		"verbatim": func(v any) error { _, err := parley.NewEvent[any]("a", "b").Verbatim().Record(v); return err },
	}
	for name, err := range record {
		for _, v := range []any{latin1, map[string]int{latin1: 1}, []*string{nil, new(latin1)}, [1]any{labelled{Label: latin1}}} {
			if err := err(v); !errors.Is(err, parley.ErrInvalid) || !strings.Contains(err.Error(), `caf\xe9`) {
				t.Errorf("%s of %q: got %v, want ErrInvalid that shows the text", name, v, err)
			}
		}
		for _, v := range []any{
			"caf\u00e9 \ufffd", json.RawMessage(`"\ufffd"`), labelled{hidden: latin1, Skipped: latin1}, []any{json.RawMessage(`"\ufffd"`), labelled{hidden: latin1}},
		} {
			if err := err(v); err != nil {
				t.Errorf("%s of %v: %v", name, v, err)
			}
		}
	}
}
