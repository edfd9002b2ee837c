package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service/internal/terminal"
)

// editText opens a text in the operator's editor and returns the new one. keep returns its error and removes the file; after an error
// it leaves the file, and the error names it, so that no work is lost.
func editText(ctx context.Context, cmd *cobra.Command, text []byte) (changed []byte, keep func(error) error, err error) {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"))
	if editor == "" {
		if !terminal.Is(cmd.InOrStdin()) {
			return nil, nil, usage(cmd, errors.New("no editor: set EDITOR, or give the new payload with --file"))
		}
		editor = "vi"
	}
	f, err := os.CreateTemp("", "parley-*.json")
	if err != nil {
		return nil, nil, err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = runEditor(ctx, cmd, editor, f.Name())
	}
	if err == nil {
		changed, err = os.ReadFile(f.Name())
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("editor %q: %w", editor, err), os.Remove(f.Name()))
	}
	return changed, func(err error) error {
		if err != nil {
			return fmt.Errorf("%w (the edited text is in %s)", err, f.Name())
		}
		return os.Remove(f.Name())
	}, nil
}

// runEditor runs the editor in the foreground. An interrupt is for the editor, so it does not end with ctx.
func runEditor(ctx context.Context, cmd *cobra.Command, editor, file string) error {
	ctx = context.WithoutCancel(ctx)
	c := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "parley", file) // EDITOR may have arguments
	if runtime.GOOS == "windows" {
		args := append(strings.Fields(editor), file)
		c = exec.CommandContext(ctx, args[0], args[1:]...)
	}
	c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	return c.Run()
}
