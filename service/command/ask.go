package command

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/terminal"
)

// errDeclined means that the operator has answered no.
var errDeclined = errors.New("declined")

// confirm asks on a terminal whether to go on. Without a terminal it returns an error that names --yes.
func confirm(cmd *cobra.Command, question, hint string) error {
	in := cmd.InOrStdin()
	if !terminal.Is(in) {
		return usage(cmd, fmt.Errorf("%s: --yes is required without a terminal (%s)", question, hint))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s? [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errDeclined
}

// readInput reads a JSON body from a file or standard input.
func readInput(cmd *cobra.Command, file string) ([]byte, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, parley.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	body = bytes.TrimSpace(body)
	if len(body) > parley.MaxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", parley.MaxBody)
	}
	if !json.Valid(body) {
		return nil, errors.New("the body is not JSON")
	}
	return body, nil
}
