package parley_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

type clashing struct {
	Nested []struct {
		Line1 string `json:"line_1"`
		First string `json:"line1"`
	}
}

func TestContractsWithTwoFieldsOfOneWireNamePanicWhenDeclared(t *testing.T) {
	for name, declare := range map[string]func(){
		"event":   func() { parley.NewEvent[clashing]("user", "renamed") },
		"command": func() { parley.NewCommand[clashing]("sms", "send") },
		"request": func() { parley.NewCall[clashing, int]("shop", "price") },
		"reply":   func() { parley.NewCall[int, *clashing]("shop", "price") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text := fmt.Sprint(recover())
				for _, want := range []string{`Line1 ("line_1")`, `First ("line1")`} {
					if !strings.Contains(text, want) {
						t.Errorf("panic %q, want it to name %s", text, want)
					}
				}
			}()
			declare()
		})
	}
}
