package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/internal/shutdown"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/spelling"
	"github.com/parley-go/parley/service/settings"
)

// Exit codes of all commands.
const (
	// ExitOK means that the command succeeded, and for check: healthy.
	ExitOK = 0
	// ExitFailed means that the command failed, and for check: unhealthy.
	ExitFailed = 1
	// ExitUsage means that the command line or the settings are wrong, and for check also that the state cannot be determined.
	ExitUsage = 2
)

const exitHelp = `
Exit codes: 0 success; 1 failure; 2 the command line or the settings are wrong ("help exit-codes" has the details).
SIGINT or SIGTERM shuts down gracefully; a second signal after more than a second exits immediately.`

// exitError is an error with an exit code. Without a cause, Execute prints no error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Main is the main function of a service. It runs the command of the command line (run, consumer, relay, migrate, check and others;
// `help` lists them) and exits with its exit code. register adds the handlers:
//
//	command.Main(func(s *service.Service) error {
//		parley.On(s.Router, contracts.UserRenamed, onUserRenamed)
//		return orders.Register(s)
//	})
func Main(register func(s *service.Service) error) {
	root := New(filepath.Base(os.Args[0]), register)
	failpoint.Exit(Execute(context.Background(), root, os.Args[1:]))
}

// New returns the command tree of a service's binary called name, for programs that add commands of their own. See Main.
func New(name string, register func(s *service.Service) error) *cobra.Command {
	return (&app{register: register}).service(name)
}

// service returns the command tree of a service's binary.
func (a *app) service(name string) *cobra.Command {
	root := a.root(name, name+" is a service built with parley.\n"+exitHelp)
	root.AddCommand(a.runCommand(), a.consumerCommand(), a.routesCommand(), a.devCommand())
	root.AddCommand(a.operator()...)
	a.complete(root)
	root.AddCommand(exitCodesTopic())
	return root
}

// complete adds the completion of the values of flags.
func (a *app) complete(root *cobra.Command) {
	a.completeSettings(root)
	a.completeFlags(root)
}

// NewOperator returns a command tree called name with the commands that need no handlers: relay, migrate, check, scheduled, parked,
// log, pause, resume, pauses, topology, settings, publish, send, tail, console, status, doctor and version.
func NewOperator(name, long string) *cobra.Command {
	a := &app{}
	root := a.root(name, long+"\n"+exitHelp)
	root.AddCommand(a.operator()...)
	a.complete(root)
	root.AddCommand(exitCodesTopic())
	return root
}

// Execute runs the command of args and returns its exit code.
func Execute(ctx context.Context, root *cobra.Command, args []string) int {
	ctx, stop := shutdown.Context(ctx)
	defer stop()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	code := exitCode(err)
	if failed, ok := errors.AsType[*exitError](err); !ok || failed.err != nil {
		fmt.Fprintln(root.ErrOrStderr(), "error:", err)
	}
	return code
}

func exitCode(err error) int {
	if failed, ok := errors.AsType[*exitError](err); ok {
		return failed.code
	}
	if _, ok := errors.AsType[*settings.Error](err); ok {
		return ExitUsage
	}
	return ExitFailed
}

// An app holds what the commands of one binary have in common.
type app struct {
	register func(s *service.Service) error // nil for the operator's commands
	broker   parley.Broker                  // of tests; nil means that of the settings
}

func (a *app) root(name, long string) *cobra.Command {
	root := &cobra.Command{
		Use: name, Long: long, SilenceErrors: true, SilenceUsage: true, Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	settings.AddFlags(root.PersistentFlags())
	return root
}

func (a *app) operator() []*cobra.Command {
	return append(limit(a.migrateCommand(), a.scheduledCommand(), a.parkedCommand(), a.logCommand(), a.pauseCommand(), a.resumeCommand(), a.pausesCommand()),
		a.relayCommand(), a.statusCommand(), a.checkCommand(), a.consoleCommand(), a.topologyCommand(), a.settingsCommand(), a.publishCommand(),
		a.sendCommand(), a.tailCommand(), a.doctorCommand(), a.versionCommand())
}

// UsageError returns err as an error of the command line: with exit code 2 and a reference to the help.
func UsageError(cmd *cobra.Command, err error) error { return usage(cmd, err) }

// usage is UsageError.
func usage(cmd *cobra.Command, err error) error {
	return &exitError{ExitUsage, fmt.Errorf("%w (see %q)", err, cmd.CommandPath()+" --help")}
}

// NoArgs rejects arguments, for commands that programs add. For a command with subcommands, an argument is an unknown command.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("%s: unexpected argument %q", cmd.CommandPath(), args[0])
	if cmd.HasSubCommands() {
		err = fmt.Errorf("unknown command %q", args[0])
		var names []string
		for _, sub := range cmd.Commands() {
			names = append(names, sub.Name())
		}
		if near := spelling.Nearest(args[0], names); near != "" {
			err = fmt.Errorf("unknown command %q: did you mean %s?", args[0], near)
		}
	}
	return usage(cmd, err)
}

// group returns a command that only has subcommands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(subs...)
	return c
}

// access is what a command may do with the database.
type access int

const (
	// readWrite is for commands that may create tables. A SQLite file that does not exist is created.
	readWrite access = iota
	// existing is for commands that work on existing data: a typing error in the name must not create a SQLite file.
	existing
	// readOnly is for diagnostics.
	readOnly
)

// open loads the settings, changes them, requires those called keys, and opens the service.
func (a *app) open(cmd *cobra.Command, may access, keys []string, change func(*settings.Settings)) (*service.Service, error) {
	loaded, err := settings.Load(&settings.LoadOptions{Flags: cmd.Flags()})
	if err != nil {
		return nil, err
	}
	change(loaded)
	if err := loaded.Need(keys...); err != nil {
		return nil, err
	}
	if may != readWrite {
		if err := sqliteExists(cmd, loaded); err != nil {
			return nil, err
		}
	}
	s, err := service.Open(loaded, &service.Config{LogOutput: cmd.ErrOrStderr(), ReadOnly: may == readOnly, Broker: a.broker})
	if err != nil {
		return nil, err
	}
	for _, w := range loaded.Warnings() {
		s.Logger.Warn("settings: " + w)
	}
	return s, nil
}

// sqliteExists returns an error if the database is a SQLite file that does not exist. To open it would create it.
func sqliteExists(cmd *cobra.Command, s *settings.Settings) error {
	if s.Database.Scheme() != "sqlite" {
		return nil
	}
	if _, err := os.Stat(s.Database.SQLitePath()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("database %s: the file does not exist (run \"%s migrate up\" to create it)", s.Database.URL, cmd.Root().Name())
	}
	return nil
}

// with opens the service on an existing database, calls do and closes the service.
func (a *app) with(cmd *cobra.Command, keys []string, do func(ctx context.Context, s *service.Service) error) error {
	return a.withAccess(cmd, existing, keys, do)
}

func (a *app) withAccess(cmd *cobra.Command, may access, keys []string, do func(ctx context.Context, s *service.Service) error) error {
	return a.withSettings(cmd, may, keys, func(*settings.Settings) {}, do)
}

func (a *app) withSettings(cmd *cobra.Command, may access, keys []string, change func(*settings.Settings), do func(ctx context.Context, s *service.Service) error) error {
	s, err := a.open(cmd, may, keys, change)
	if err != nil {
		return err
	}
	if err = reachDatabase(cmd, s); err == nil {
		err = s.Settings.Redact(do(cmd.Context(), s))
	}
	return errors.Join(err, s.Close(cmd.Context()))
}

// withDatabase is with, and rejects a memory: database and a SQLite file that does not exist.
func (a *app) withDatabase(cmd *cobra.Command, do func(ctx context.Context, s *service.Service) error) error {
	return a.withDatabaseFor(cmd, existing, do)
}

func (a *app) withDatabaseFor(cmd *cobra.Command, may access, do func(ctx context.Context, s *service.Service) error) error {
	return a.withAccess(cmd, may, []string{"database.url"}, func(ctx context.Context, s *service.Service) error {
		if s.Settings.Database.URL.IsMemory() {
			return separate(s.Settings, cmd.CommandPath())
		}
		return do(ctx, s)
	})
}

// An object is a JSON object.
type object = map[string]any

// report prints a line of a command's result.
func report(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// separate returns an error if broker or database are memory:. The command would see only the data of its own process.
func separate(s *settings.Settings, command string) error {
	var mistakes []settings.Mistake
	for _, u := range [...]struct {
		key string
		url settings.URL
	}{{"broker.url", s.Broker.URL}, {"database.url", s.Database.URL}} {
		if u.url.IsMemory() {
			mistakes = append(mistakes, settings.Mistake{Key: u.key, Source: s.Source(u.key),
				Problem: fmt.Sprintf("memory: is in-process only, so %q would see no data of the service", command), Hint: "set the URL of a server; the command run of a service's own binary uses memory: in one process"})
		}
	}
	if len(mistakes) > 0 {
		return &settings.Error{Mistakes: mistakes}
	}
	return nil
}
