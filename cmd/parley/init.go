package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service/command"
)

// initOptions are the arguments of the command init.
type initOptions struct {
	folder, module, clone string
	with                  []string // parts of the scaffold
	add                   bool
}

// extras are the values of --with.
var extras = []string{"ci", "docker"}

func initCommand() *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use: "init folder", Short: "write a small working service",
		Long: `Writes a small service into a new folder: settings, contracts, a handler with tests of success and failure, and a
compose file for RabbitMQ and PostgreSQL. It runs without a server, on SQLite and a broker in its process:

  parley init shop && cd shop && go run . run
  go run . publish order placed --payload '{"id": 1, "item": "tea", "amount": 2}'   # in another terminal

With --add, it writes a second service into the module of the first one. Both use the package contracts:

  cd shop && parley init --add billing && cd billing && go run . run

Everything is checked first. If a step fails, no file is left. In a clone of parley, or with --clone, the
service uses that clone by a relative path.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return command.UsageError(cmd, errors.New("give the folder of the new service"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.folder = args[0]
			p, err := newProject(&o)
			if err != nil {
				return command.UsageError(cmd, err)
			}
			if err := p.write(); err != nil {
				return fmt.Errorf("init: %w (no file is left)", err)
			}
			if p.note != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "note:", p.note)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: cd %s && go run . run\n", o.folder, o.folder)
			return err
		},
	}
	c.Flags().StringVar(&o.module, "module", "", "path of the Go module (default: the folder's name)")
	c.Flags().StringVar(&o.clone, "clone", "", "folder of a clone of parley to use (default: the clone that contains the working directory, if any)")
	c.Flags().StringSliceVar(&o.with, "with", nil, "also write: docker (a Dockerfile, and the service in compose.yaml), ci (a workflow for GitHub)")
	c.Flags().BoolVar(&o.add, "add", false, "add a service to the module that contains the folder, with the contracts of that module")
	return c
}

// A project is a service that `parley init` writes. Its exported fields are for the templates.
type project struct {
	Name   string // of the folder, the service and its queue
	Module string
	Docker bool
	// Clone is the path of the clone of parley, relative to the folder, with slashes; or "".
	Clone string

	dir   string   // absolute
	clone string   // absolute, or ""
	parts []string // folders of the scaffold
	note  string   // for the user, about what was written
}

// CloneDepth is a path of as many folders as Clone needs above the service's own parent folder, in an image or on a CI machine.
func (p *project) CloneDepth() string { return depth(p.Clone) }

// CloneBeside is the place of the clone there, relative to where CloneDepth begins.
func (p *project) CloneBeside() string { return beside(p.CloneDepth()+p.Name, p.Clone) }

// newProject checks everything that can be checked before the first file is written. It reports all mistakes at once.
func newProject(o *initOptions) (*project, error) {
	dir, err := filepath.Abs(o.folder)
	if err != nil {
		return nil, err
	}
	p := &project{Name: filepath.Base(dir), Module: o.module, dir: dir, parts: []string{"service"}, Docker: slices.Contains(o.with, "docker")}
	errs := []error{checkName(p.Name), checkFolder(dir)}
	for _, extra := range o.with {
		if !slices.Contains(extras, extra) {
			errs = append(errs, fmt.Errorf("--with %s is unknown (use %q)", extra, extras))
		}
		p.parts = append(p.parts, extra)
	}
	if o.add {
		p.parts = []string{"added"}
		errs = append(errs, checkAddFlags(o), p.join(filepath.Dir(dir)))
	} else {
		if p.Module == "" {
			p.Module = p.Name
		}
		errs = append(errs, checkModule(p.Module), checkOutsideWorkspace(dir), p.find(o.clone))
	}
	return p, errors.Join(append(errs, checkGo())...)
}
