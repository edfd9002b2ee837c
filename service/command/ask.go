package command

import (
	"bufio"
	"bytes"
	"context"
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
	if !terminal.Is(cmd.InOrStdin()) {
		return usage(cmd, fmt.Errorf("%s: --yes is required without a terminal (%s)", question, hint))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s? [y/N] ", question)
	answer, err := readLine(cmd)
	if errors.Is(err, errInterrupted) {
		report(cmd.ErrOrStderr(), "") // the shell's prompt begins on a line of its own
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errDeclined
}

// errInterrupted means that a signal came while a command waited for its input.
var errInterrupted = errors.New("interrupted")

// interruptible calls read. It returns errInterrupted if ctx ends first: a read of a terminal or a pipe does not notice a signal. The
// read is then abandoned, because the command ends the process.
func interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, errInterrupted
	}
}

// readLine reads a line of standard input.
func readLine(cmd *cobra.Command) (string, error) {
	in := bufio.NewReader(cmd.InOrStdin())
	return interruptible(cmd.Context(), func() (string, error) { return in.ReadString('\n') })
}

// readInput reads a JSON body from a file or standard input.
func readInput(cmd *cobra.Command, file string) ([]byte, error) {
	body, err := interruptible(cmd.Context(), func() ([]byte, error) {
		in := cmd.InOrStdin()
		if file != "-" {
			f, err := os.Open(file) // it blocks if the file is a pipe without a writer
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
		return body, nil
	})
	if err != nil {
		return nil, err
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
