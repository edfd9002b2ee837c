package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service/command"
)

//go:embed scaffold
var scaffold embed.FS

// A project is a service that `parley init` writes.
type project struct {
	Name   string // of the folder, the service and its queue
	Module string
	Dir    string
}

func initCommand() *cobra.Command {
	var module, clone string
	c := &cobra.Command{
		Use: "init folder", Short: "write a small working service",
		Long: `Writes a small service into a new folder: settings, contracts, a handler with its test, and a compose file
for RabbitMQ and PostgreSQL. It runs without a server, on SQLite and a broker in its process:

  parley init shop && cd shop && go run . run
  go run . publish order placed --payload '{"id": 1, "item": "tea", "amount": 2}'   # in another terminal

In a clone of parley, or with --clone, the service uses that clone.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return command.UsageError(cmd, errors.New("give the folder of the new service"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := newProject(args[0], module)
			if err != nil {
				return command.UsageError(cmd, err)
			}
			if err := p.write(); err != nil {
				return err
			}
			if err := p.require(clone); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: cd %s && go run . run\n", p.Dir, p.Dir)
			return err
		},
	}
	c.Flags().StringVar(&module, "module", "", "path of the Go module (default: the folder's name)")
	c.Flags().StringVar(&clone, "clone", "", "folder of a clone of parley to use (default: the clone that contains the working directory, if any)")
	return c
}

var plainName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func newProject(dir, module string) (*project, error) {
	p := &project{Name: filepath.Base(filepath.Clean(dir)), Module: module, Dir: dir}
	if !plainName.MatchString(p.Name) {
		return nil, fmt.Errorf("%q is not a valid service name (use lower-case letters, digits, - and _, starting with a letter)", p.Name)
	}
	if p.Module == "" {
		p.Module = p.Name
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("folder %s is not empty", dir)
	}
	return p, nil
}

// write creates the files. It never overwrites a file.
func (p *project) write() error {
	return fs.WalkDir(scaffold, "scaffold", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		t, err := template.ParseFS(scaffold, path)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := t.Execute(&text, p); err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, "scaffold/"), ".tmpl")
		if name == "gitignore" {
			name = ".gitignore"
		}
		return p.create(name, text.Bytes())
	})
}

func (p *project) create(name string, text []byte) error {
	path := filepath.Join(p.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

const (
	parleyModule  = "github.com/parley-go/parley"
	serviceModule = parleyModule + "/service"
)

// require creates go.mod and go.sum, from a clone or from the published module.
func (p *project) require(clone string) error {
	if clone == "" {
		clone = cloneHere()
	}
	if clone != "" {
		return p.requireClone(clone)
	}
	for _, args := range [][]string{{"mod", "init", p.Module}, {"get", serviceModule + "@latest"}, {"mod", "tidy"}} {
		if err := p.goTool(args...); err != nil {
			return fmt.Errorf("%w\nthe files are written, but the module requirements are missing (with a clone of parley, use --clone)", err)
		}
	}
	return nil
}

// requireClone copies the requirements of the clone's module service, which include those of all parts of parley. So the service
// needs no download that the clone does not need.
func (p *project) requireClone(clone string) error {
	clone, err := filepath.Abs(clone)
	if err != nil {
		return err
	}
	service := filepath.Join(clone, "service")
	mod, err := os.ReadFile(filepath.Join(service, "go.mod"))
	if err != nil {
		return fmt.Errorf("read the clone of parley: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(service, "go.sum"))
	if err != nil {
		return fmt.Errorf("read the clone of parley: %w", err)
	}
	first, rest, _ := strings.Cut(string(mod), "\n")
	if strings.TrimSpace(first) != "module "+serviceModule {
		return fmt.Errorf("%s is not a clone of parley: its service/go.mod begins with %q", clone, first)
	}
	rest = relativeTarget.ReplaceAllStringFunc(rest, func(target string) string {
		return "=> " + filepath.Join(service, strings.TrimPrefix(target, "=> "))
	})
	text := fmt.Sprintf("module %s\n%s\nrequire %s v0.0.0\n\nreplace %[3]s => %s\n", p.Module, rest, serviceModule, service)
	return errors.Join(p.create("go.mod", []byte(text)), p.create("go.sum", sum), p.goTool("mod", "edit", "-fmt"))
}

// relativeTarget matches the right side of a replace directive that refers to a folder of the clone.
var relativeTarget = regexp.MustCompile(`=> \.\.\S*`)

func (p *project) goTool(args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = p.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// cloneHere returns the root of the clone of parley that contains the working directory, or "".
func cloneHere() string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{if .Main}}{{.Dir}}{{end}}", parleyModule).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
