package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/reload"
)

const devHelp = `It watches the Go files, settings and templates of the module, rebuilds after a change, and restarts
the program gracefully when the build succeeds. Files that git ignores, and the folders tmp, vendor and testdata, do not matter. If the build fails, its output is shown and the old program keeps running.`

// devCommand is dev for a service's binary. It rebuilds the package of this binary.
func (a *app) devCommand() *cobra.Command {
	return &cobra.Command{
		Use: "dev [command [flags]]", Short: "run a command and restart it after each change of the sources",
		Long:               "Runs a command of this service, \"run\" by default, for development.\n" + devHelp,
		DisableFlagParsing: true, // the flags belong to the command
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			if len(args) == 0 {
				args = []string{"run"}
			}
			return develop(cmd, reload.Config{Package: ownPackage(), Command: args})
		},
	}
}

// ownPackage returns the main package of this binary.
func ownPackage() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" && info.Path != "command-line-arguments" {
		return info.Path
	}
	return "."
}

// NewDev returns the command dev for any program, such as `dev -- go run ./cmd/shop consumer`.
func NewDev() *cobra.Command {
	var exclude []string
	c := &cobra.Command{
		Use: "dev -- command [argument...]", Short: "run a program and restart it after each change of its sources",
		Long: "Runs a program for development, such as\n\n  parley dev -- go run ./cmd/shop consumer\n\n" + devHelp +
			"\nA command other than \"go run\" is restarted without a build.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("give the command to run, such as: dev -- go run ./cmd/shop consumer"))
			}
			cfg, err := devConfig(args)
			for _, pattern := range exclude {
				if _, bad := filepath.Match(pattern, ""); bad != nil {
					err = errors.Join(err, fmt.Errorf("--exclude %q: %w", pattern, bad))
				}
			}
			if err != nil {
				return usage(cmd, err)
			}
			cfg.Exclude = exclude
			return develop(cmd, cfg)
		},
	}
	c.Flags().StringArrayVar(&exclude, "exclude", nil, "pattern of files or folders whose changes do not restart the program, such as data or *.json; may be repeated")
	return c
}

// devConfig parses `go run [build flags] package [arguments]`, so that the new program can be built before the old one is stopped.
func devConfig(args []string) (reload.Config, error) {
	if len(args) < 2 || filepath.Base(args[0]) != "go" || args[1] != "run" {
		return reload.Config{Command: args}, nil
	}
	rest := args[2:]
	var flags []string
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		flags, rest = append(flags, rest[0]), rest[1:]
		if takesValue(flags[len(flags)-1]) && len(rest) > 0 {
			flags, rest = append(flags, rest[0]), rest[1:]
		}
	}
	if len(rest) == 0 {
		return reload.Config{}, errors.New("go run: no package is given")
	}
	if strings.HasSuffix(rest[0], ".go") {
		return reload.Config{}, fmt.Errorf("go run %s: name the package, such as ./cmd/shop, not a file", rest[0])
	}
	return reload.Config{Package: rest[0], BuildFlags: flags, Command: rest[1:]}, nil
}

// takesValue reports whether the value of a build flag is the next argument.
func takesValue(flag string) bool {
	valued := []string{"tags", "ldflags", "gcflags", "asmflags", "mod", "modfile", "overlay", "p", "C", "pgo", "covermode", "coverpkg", "compiler", "buildmode", "pkgdir", "toolexec", "installsuffix"}
	name := strings.TrimLeft(flag, "-")
	return !strings.Contains(name, "=") && slices.Contains(valued, name)
}

// develop runs cfg in the working directory and watches the whole module.
func develop(cmd *cobra.Command, cfg reload.Config) (err error) {
	if cfg.Watch, err = moduleRoot(); err != nil {
		return err
	}
	cfg.Stdout, cfg.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	return parley.Run(cmd.Context(), parley.RunnerFunc(func(ctx context.Context) error { return reload.Run(ctx, cfg) }))
}

// moduleRoot returns the folder of the go.mod of the working directory.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the Go module: %w (is Go installed?)", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("no Go module here (change to the folder of go.mod)")
	}
	return filepath.Dir(mod), nil
}
