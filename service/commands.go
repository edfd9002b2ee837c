package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/internal/failpoint"
)

// Exit codes of all commands.
const (
	// ExitOK: the command did what it was asked to; `check` found everything in order.
	ExitOK = 0
	// ExitFailed: it could not; `check` found that events do not get out.
	ExitFailed = 1
	// ExitUsage: the command line or the settings are wrong; `check` cannot tell.
	ExitUsage = 2
)

const exitHelp = `
Exit codes: 0 done; 1 failed; 2 the command line or the settings are wrong.
SIGINT or SIGTERM stops cleanly, a second one at once.`

// exitError carries an exit code. Without a cause nothing more is printed.
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

// Main is a service's whole main function: it gives the binary its commands (run, consumer,
// relay, migrate, check, routes, topology and those of the operator; `help` lists them)
// and ends the process with their exit code. register adds the handlers:
//
//	service.Main(func(s *service.Service) error {
//		parley.On(s.Router, contracts.UserRenamed, onUserRenamed)
//		return orders.Register(s)
//	})
func Main(register func(s *Service) error) {
	root := NewCommand(filepath.Base(os.Args[0]), register)
	failpoint.Exit(Execute(context.Background(), root, os.Args[1:]))
}

// NewCommand returns the command tree of a service's binary called name, for programs
// that have commands of their own beside it. See Main.
func NewCommand(name string, register func(s *Service) error) *cobra.Command {
	a := &app{register: register}
	root := a.root(name, name+" is a service built with parley.\n"+exitHelp)
	root.AddCommand(a.runCommand(), a.consumerCommand(), a.routesCommand(), a.devCommand())
	root.AddCommand(a.operator()...)
	return root
}

// NewOperatorCommand returns a command tree called name for what needs no handlers:
// relay, migrate, check, scheduled, parked, topology, settings, publish, send, tail, doctor.
func NewOperatorCommand(name, long string) *cobra.Command {
	a := &app{}
	root := a.root(name, long+"\n"+exitHelp)
	root.AddCommand(a.operator()...)
	return root
}

// Execute runs the command that args name, and returns its exit code.
func Execute(ctx context.Context, root *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process, unless something long-lived takes it
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
	if _, ok := errors.AsType[*SettingsError](err); ok {
		return ExitUsage
	}
	return ExitFailed
}

// An app holds what the commands of one binary have in common.
type app struct {
	register func(s *Service) error // nil for the operator's commands
}

func (a *app) root(name, long string) *cobra.Command {
	root := &cobra.Command{
		Use: name, Long: long, SilenceErrors: true, SilenceUsage: true, Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	AddFlags(root.PersistentFlags())
	return root
}

func (a *app) operator() []*cobra.Command {
	return []*cobra.Command{
		a.relayCommand(), a.migrateCommand(), a.checkCommand(), a.scheduledCommand(), a.parkedCommand(),
		a.topologyCommand(), a.settingsCommand(), a.publishCommand(), a.sendCommand(), a.tailCommand(), a.doctorCommand(),
	}
}

// UsageError marks an error of a command as one of the command line: exit code 2, and a hint at the help.
func UsageError(cmd *cobra.Command, err error) error { return usage(cmd, err) }

// usage marks an error as one of the command line.
func usage(cmd *cobra.Command, err error) error {
	return &exitError{ExitUsage, fmt.Errorf("%w (see %q)", err, cmd.CommandPath()+" --help")}
}

// NoArgs refuses arguments, for commands that programs add; an unknown command is one.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("%s takes no argument %q", cmd.CommandPath(), args[0])
	if cmd.HasSubCommands() {
		err = fmt.Errorf("unknown command %q", args[0])
		var names []string
		for _, sub := range cmd.Commands() {
			names = append(names, sub.Name())
		}
		if near := nearest(args[0], names); near != "" {
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

// open loads the settings, makes sure that those called keys are there, and opens the service.
func (a *app) open(cmd *cobra.Command, keys ...string) (*Service, error) {
	settings, err := Load(&LoadOptions{Flags: cmd.Flags()})
	if err != nil {
		return nil, err
	}
	if err := settings.need(keys...); err != nil {
		return nil, err
	}
	s, err := Open(settings, &Config{LogOutput: cmd.ErrOrStderr()})
	if err != nil {
		return nil, err
	}
	for _, w := range settings.Warnings() {
		s.Logger.Warn("settings: " + w)
	}
	return s, nil
}

// with opens the service, does something with it and closes it.
func (a *app) with(cmd *cobra.Command, keys []string, do func(ctx context.Context, s *Service) error) error {
	s, err := a.open(cmd, keys...)
	if err != nil {
		return err
	}
	err = redacted(do(cmd.Context(), s), s.Settings.secrets()...)
	return errors.Join(err, s.Close(cmd.Context()))
}

// withDatabase is with, for a database that other processes see too.
func (a *app) withDatabase(cmd *cobra.Command, do func(ctx context.Context, s *Service) error) error {
	return a.with(cmd, []string{"database.url"}, func(ctx context.Context, s *Service) error {
		if isMemory(s.Settings.Database.URL) {
			return s.separate(cmd.CommandPath())
		}
		return do(ctx, s)
	})
}

// report writes a line of a command's result.
func report(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
