package command

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-go/parley/service/internal/reload"
)

func TestDevParsesGoRun(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want reload.Config
	}{
		{[]string{"go", "run", "./cmd/shop", "consumer", "--queue", "q"}, reload.Config{Package: "./cmd/shop", Command: []string{"consumer", "--queue", "q"}}},
		{[]string{"go", "run", "-race", "-tags", "x", "-mod=mod", "."}, reload.Config{Package: ".", BuildFlags: []string{"-race", "-tags", "x", "-mod=mod"}, Command: []string{}}},
		{[]string{"python3", "manage.py"}, reload.Config{Command: []string{"python3", "manage.py"}}},
	} {
		got, err := devConfig(tt.args)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%v: %v\nwant -, got +\n%s", tt.args, err, diff)
		}
	}
	for _, args := range [][]string{{"go", "run"}, {"go", "run", "-race"}, {"go", "run", "main.go"}} {
		if _, err := devConfig(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
