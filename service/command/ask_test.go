package command

import (
	"os"
	"testing"

	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/internal/terminal"
)

func TestOnlyATerminalIsAskedForAnAnswer(t *testing.T) {
	for _, name := range []string{os.DevNull, servicetest.WriteFile(t, "answers", "y\n")} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if terminal.Is(f) {
			t.Errorf("%s is taken for a terminal", name)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
