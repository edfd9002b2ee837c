package doccheck

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
	"github.com/parley-go/parley/service/settings"
)

// A yaml block is a whole settings file; a ```yaml fragment is not checked.
func TestSettingsFilesInTheDocumentsAreValid(t *testing.T) {
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.lang != "yaml" || strings.HasPrefix(b.info, "fragment") {
				continue
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "parley.yaml")
			write(t, file, []byte(strings.ReplaceAll(b.code, "/run/secrets/", dir+"/")))
			for _, m := range regexp.MustCompile(`/run/secrets/(\w+)`).FindAllStringSubmatch(b.code, -1) {
				write(t, filepath.Join(dir, m[1]), []byte("secret\n"))
			}
			if _, err := settings.Load(&settings.LoadOptions{File: file, Environ: []string{}}); err != nil {
				t.Errorf("%s:%d: %v", b.path, b.line, err)
			}
		}
	}
}

var variablePattern = regexp.MustCompile(`\bPARLEY_[A-Z0-9_]*[A-Z0-9]\b`)

func TestVariablesThatTheDocumentsNameExist(t *testing.T) {
	known := map[string]bool{"PARLEY_SETTINGS": true}
	text, err := settings.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	settingsOf(schema, "PARLEY", known)
	for _, name := range variablePattern.FindAllString(sources(t, "internal/testenv", ".ci", "deploy", "examples", "faulttests", "benchmarks"), -1) {
		known[name] = true
	}
	for _, d := range documents(t) {
		for _, name := range variablePattern.FindAllString(d.everything(), -1) {
			if !known[name] {
				t.Errorf("%s names %s, which no code reads", d.path, name)
			}
		}
	}
}

// settingsOf collects the variables of the settings that a JSON Schema lists.
func settingsOf(schema map[string]any, name string, known map[string]bool) {
	known[name] = true
	properties, _ := schema["properties"].(map[string]any)
	for key, value := range properties {
		if sub, ok := value.(map[string]any); ok {
			settingsOf(sub, name+"_"+strings.ToUpper(key), known)
		}
	}
}

func (d *document) everything() string {
	all := d.text
	for _, b := range d.blocks {
		all += b.code
	}
	return all
}

// sources returns the text of all files in the folders that exist.
func sources(t *testing.T, folders ...string) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		folder = filepath.Join(root, folder)
		if _, err := os.Stat(folder); err != nil {
			continue
		}
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if name := d.Name(); err == nil && d.IsDir() && strings.HasPrefix(name, ".") && path != folder && name != ".." {
				return fs.SkipDir
			}
			if err != nil || d.IsDir() || !isText(path) {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			all.WriteByte('\n')
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func isText(path string) bool {
	switch filepath.Ext(path) {
	case ".go", "", ".sh", ".yaml":
		return filepath.Base(path) != ".git"
	}
	return false
}

// commandPattern matches commands in code spans and at the beginning of lines of sh blocks.
var (
	commandPattern = regexp.MustCompile(`^(?:\$ )?(?:parley|\./hello|mysvc|go run \./cmd/parley)((?: .*)?)$`)
	flagPattern    = regexp.MustCompile(`^--([a-z][a-z-]*)`)
)

func TestCommandsAndFlagsThatTheDocumentsNameExist(t *testing.T) {
	tree := command.New("parley", func(*service.Service) error { return nil })
	demo := &cobra.Command{Use: "demo"}
	demo.Flags().Bool("keep", false, "")
	demo.Flags().String("console", "", "")
	tree.AddCommand(demo, &cobra.Command{Use: "init folder"}, &cobra.Command{Use: "rename name"}, &cobra.Command{Use: "help"}, &cobra.Command{Use: "completion"})
	if own := sources(t, "cmd/parley"); !strings.Contains(own, `Use: "demo"`) || !strings.Contains(own, `Use: "init `) || !strings.Contains(own, `"keep"`) || !strings.Contains(own, `"console"`) {
		t.Error("cmd/parley does not have demo, init, --keep or --console any more (update this test and the documents)")
	}
	checked := 0
	for _, d := range documents(t) {
		for _, line := range d.commands() {
			m := commandPattern.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				continue
			}
			checked++
			checkCommand(t, tree, d.path, strings.Fields(m[1]))
		}
	}
	if checked < 10 {
		t.Errorf("found %d commands in the documents (does the pattern still match?)", checked)
	}
}

// commands returns possible command lines: code spans and the lines of sh blocks.
func (d *document) commands() []string {
	var out []string
	for _, span := range codeSpan.FindAllString(d.text, -1) {
		out = append(out, strings.Trim(span, "`"))
	}
	for _, b := range d.blocks {
		if b.lang == "sh" {
			for line := range strings.SplitSeq(b.code, "\n") {
				line, _, _ = strings.Cut(line, " #")
				out = append(out, line)
			}
		}
	}
	return out
}

func checkCommand(t *testing.T, tree *cobra.Command, where string, args []string) {
	t.Helper()
	c := tree
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		next := child(c, args[0])
		if next == nil {
			break
		}
		c, args = next, args[1:]
	}
	takesArguments := strings.Contains(c.Use, "[") // beside its subcommands, such as console [settings-file...]
	if c.HasSubCommands() && !takesArguments && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		t.Errorf("%s names the command %q, which %q does not have", where, args[0], c.CommandPath())
		return
	}
	for _, arg := range args {
		m := flagPattern.FindStringSubmatch(arg)
		if m == nil || m[1] == "help" {
			continue
		}
		if c.Flags().Lookup(m[1]) == nil && c.InheritedFlags().Lookup(m[1]) == nil {
			t.Errorf("%s names the flag --%s, which %q does not have", where, m[1], c.CommandPath())
		}
	}
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

var makePattern = regexp.MustCompile(`^make( [a-z-]+)?$`)

func TestMakeTargetsThatTheDocumentsNameExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents(t) {
		for _, line := range d.commands() {
			m := makePattern.FindStringSubmatch(strings.TrimSpace(line))
			if m != nil && m[1] != "" && !strings.Contains(string(makefile), "\n"+m[1][1:]+":") {
				t.Errorf("%s names %q, which the Makefile does not have", d.path, m[0])
			}
		}
	}
}

var (
	testPattern    = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)(?:/(\\w+))?`")
	testDefinition = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
)

func TestTestsThatTheDocumentsNameExist(t *testing.T) {
	all := sources(t, ".")
	exists := map[string]bool{}
	for _, m := range testDefinition.FindAllStringSubmatch(all, -1) {
		exists[m[1]] = true
	}
	for _, d := range documents(t) {
		for _, m := range testPattern.FindAllStringSubmatch(d.text, -1) {
			if !exists[m[1]] {
				t.Errorf("%s names the test %s, which does not exist", d.path, m[1])
			}
			if m[2] != "" && !strings.Contains(all, `"`+m[2]+`"`) {
				t.Errorf("%s names the subtest %s/%s, which does not exist", d.path, m[1], m[2])
			}
		}
	}
}
