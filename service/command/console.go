package command

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/console"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

// defaultConsole is the address of the console without console.address.
const defaultConsole = "127.0.0.1:8081"

func (a *app) consoleCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "console [settings-file...]", Short: "show and repair services in a browser",
		Long: `Serves a web page with the state of a service: outbox, parked and scheduled messages, queues, settings, doctor. With several settings
files it shows several services on one page. Each file then holds the database and the broker of its service. The address, the
accounts and the rights of the console come from flags, from the environment or from the first file.

The console is read-only unless console.write is true. It listens at 127.0.0.1:8081 unless console.address is set. At any other than a
loopback address it needs accounts: console.password_file, with lines of the command console password.`,
		Example: "  parley console\n  parley console orders.yaml users.yaml --console-write",
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) < 2 {
				files = append(files, "")[:1]
			}
			return a.runConsole(cmd, files)
		},
	}
	c.AddCommand(consolePassword())
	return c
}

// runConsole opens a service for each file, and serves a console of all of them.
func (a *app) runConsole(cmd *cobra.Command, files []string) (err error) {
	var services []*service.Service
	var sources []console.Source
	defer func() {
		for _, s := range services {
			err = errors.Join(err, s.Close(cmd.Context()))
		}
	}()
	names := map[string]bool{}
	for i, file := range files {
		s, err := a.openForConsole(cmd, file, i, len(files) > 1)
		if err != nil {
			return err
		}
		services = append(services, s)
		source := s.ConsoleSource(uniqueName(names, s, file))
		source.Command = cmd.Root().Name()
		if len(files) > 1 {
			source.Command += " --settings " + file
		}
		sources = append(sources, source)
	}
	server, err := services[0].ConsoleServer(sources...)
	if err != nil {
		return err
	}
	return parley.Run(cmd.Context(), server)
}

// openForConsole opens the service of a settings file. One of several files is read without the environment and flags, because they
// would give all services the same database.
func (a *app) openForConsole(cmd *cobra.Command, file string, place int, several bool) (*service.Service, error) {
	o := &settings.LoadOptions{File: file, Flags: cmd.Flags()}
	switch {
	case several && place == 0:
		o.Flags, o.Environ = consoleLayers(cmd)
	case several:
		o.Flags, o.Environ = nil, []string{}
	}
	loaded, err := settings.Load(o)
	if err != nil {
		return nil, err
	}
	if loaded.Database.URL == "" && !loaded.HasBroker() {
		return nil, loaded.Need("database.url")
	}
	if place == 0 {
		loaded.Console.Address = cmp.Or(loaded.Console.Address, defaultConsole)
	}
	if loaded.Database.URL.IsMemory() || loaded.Broker.URL.IsMemory() {
		return nil, separate(loaded, cmd.CommandPath())
	}
	if err := sqliteExists(cmd, loaded); err != nil {
		return nil, err
	}
	s, err := service.Open(loaded, &service.Config{LogOutput: cmd.ErrOrStderr()})
	if err != nil {
		return nil, err
	}
	s.Doctor = a.doctorOf(s)
	if a.register != nil {
		if err := a.handlers(s); err != nil {
			return nil, errors.Join(err, s.Close(cmd.Context()))
		}
	}
	return s, nil
}

// consoleLayers returns the flags and the variables of the console. They override the first of several files; other flags and
// variables do not.
func consoleLayers(cmd *cobra.Command) (*pflag.FlagSet, []string) {
	flags := pflag.NewFlagSet("console", pflag.ContinueOnError)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "console-") {
			flags.AddFlag(f)
		}
	})
	environ := slices.DeleteFunc(os.Environ(), func(pair string) bool { return !strings.HasPrefix(pair, "PARLEY_CONSOLE_") })
	return flags, environ
}

// uniqueName returns a name for a service: its app_id, or the name of its file.
func uniqueName(taken map[string]bool, s *service.Service, file string) string {
	name := service.ConsoleName(cmp.Or(s.Settings.AppID, strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))))
	for n, try := 2, name; ; n++ {
		if !taken[try] {
			taken[try] = true
			return try
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}

// Examine returns a function that examines the servers of s as the command doctor does, for Service.Doctor.
func Examine(s *service.Service) func(ctx context.Context) []parley.Finding {
	return (&app{register: func(*service.Service) error { return nil }}).doctorOf(s)
}

// doctorOf returns a function that examines the servers of s, for the console.
func (a *app) doctorOf(s *service.Service) func(ctx context.Context) []parley.Finding {
	return func(ctx context.Context) []parley.Finding {
		d := &doctor{s: s, timeout: 10 * time.Second, hasHandlers: a.register != nil}
		return d.examine(ctx)
	}
}

func consolePassword() *cobra.Command {
	var roles string
	c := &cobra.Command{
		Use: "password name", Short: "print a line for console.password_file",
		Long: `Prints a line for the file of console.password_file: name:roles:hash. The password is the first line of standard input. On a terminal
the command makes a password and prints it to standard error.

Roles: reader (states, lists and error texts), payloads (bodies and headers), operator (replay, drop, cancel, move, pause), editor
(change bodies), all. The role proxy is for an authenticating reverse proxy that names its user in the header Parley-User.`,
		Example: "  parley console password ada --roles all >> console.passwords\n  pass show console | parley console password sso --roles proxy,reader",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, errors.New("give the name of the account"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var password string
			if terminal.Is(cmd.InOrStdin()) {
				password = rand.Text()
				report(cmd.ErrOrStderr(), "password of %s: %s", terminal.Printable(args[0]), password)
			} else {
				text, err := readLine(cmd)
				if err != nil && text == "" {
					return fmt.Errorf("read the password from standard input: %w", err)
				}
				password = strings.TrimRight(text, "\r\n")
			}
			line, err := console.PasswordLine(args[0], roles, password)
			if err != nil {
				return usage(cmd, err)
			}
			report(cmd.OutOrStdout(), "%s", line)
			return nil
		},
	}
	c.Flags().StringVar(&roles, "roles", "reader", "roles of the account, separated by commas: reader, payloads, operator, editor, proxy or all")
	return c
}
