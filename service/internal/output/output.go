// Package output prints the results of commands: as a table, a wide table, JSON or YAML.
package output

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service/internal/terminal"
)

// The formats of every listing.
const (
	Table = "table"
	Wide  = "wide"
	JSON  = "json"
	YAML  = "yaml"
)

// Formats are the values of the flag -o of a listing.
var Formats = []string{Table, Wide, JSON, YAML}

// Options hold the flags -o and --json of a command.
type Options struct {
	format  string
	asJSON  bool
	allowed []string
}

// Add adds the flags to a command. The formats are [Formats], and others that the command prints itself.
func (o *Options) Add(c *cobra.Command, others ...string) {
	o.allowed = append(slices.Clone(Formats), others...)
	c.Flags().StringVarP(&o.format, "output", "o", Table, "format: "+strings.Join(o.allowed, ", "))
	c.Flags().BoolVar(&o.asJSON, "json", false, "the same as -o json")
	err := c.RegisterFlagCompletionFunc("output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return o.allowed, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag exists
	}
}

// Check returns an error for an unknown format, or for two different ones.
func (o *Options) Check() error {
	switch {
	case !slices.Contains(o.allowed, o.format):
		return fmt.Errorf("-o %q is not a format (use %s)", o.format, strings.Join(o.allowed, ", "))
	case o.asJSON && o.format != Table && o.format != JSON:
		return errors.New("give one of -o and --json")
	}
	return nil
}

// Format returns the chosen format.
func (o *Options) Format() string {
	if o.asJSON {
		return JSON
	}
	return cmp.Or(o.format, Table)
}

// Structured reports whether a program will read the output: it then contains nothing but the result.
func (o *Options) Structured() bool { return o.Format() == JSON || o.Format() == YAML }

// Document prints one value: as one line of JSON, as YAML, or by text.
func (o *Options) Document(w io.Writer, value any, text func(w io.Writer) error) error {
	switch o.Format() {
	case JSON:
		return terminal.WriteJSON(w, value)
	case YAML:
		return writeYAML(w, value, false)
	default:
		return text(w)
	}
}
