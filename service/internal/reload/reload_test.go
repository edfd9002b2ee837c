package reload

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 60 * time.Second

// output collects what programs print and lets a test wait for it.
type output struct {
	mu      sync.Mutex // guards the fields below
	b       bytes.Buffer
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.b.Write(p)
}

func (o *output) look() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.changed
}

// await blocks until the output contains text n times.
func (o *output) await(t *testing.T, text string, n int) {
	t.Helper()
	late := time.After(patience)
	for {
		got, changed := o.look()
		if strings.Count(got, text) >= n {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%q did not appear %d times in %v:\n%s", text, n, patience, got)
		}
	}
}

const program = `package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	fmt.Println("begins", "VERSION", os.Args[1])
	<-c
	fmt.Println("ends", "VERSION")
}
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// renameSave saves a file as some editors do: it writes a new file and renames it over the old one.
func renameSave(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// develop runs a program of a new module; stop stops it and returns the error of Run.
func develop(t *testing.T) (dir string, out *output, stop func() error) {
	t.Helper()
	dir, out = t.TempDir(), newOutput()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/program\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "main.go"), strings.ReplaceAll(program, "VERSION", "1"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Dir: dir, Package: ".", Command: []string{"argument"}, Settled: 50 * time.Millisecond, Stdout: out, Stderr: out})
	}()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return dir, out, stop
}

func TestAnEditRestartsTheProgramAndAFailingBuildKeepsTheOldOne(t *testing.T) {
	dir, out, stop := develop(t)
	main := filepath.Join(dir, "main.go")
	out.await(t, "begins 1 argument", 1)
	write(t, main, strings.ReplaceAll(program, "VERSION", "2"))
	out.await(t, "begins 2 argument", 1)
	write(t, main, "package main\n\nfunc main() { undefinedName() }\n")
	out.await(t, "undefined: undefinedName", 1)
	out.await(t, "old program still running", 1)
	if got, _ := out.look(); strings.Contains(got, "ends 2") {
		t.Errorf("a failed build stopped the old program:\n%s", got)
	}
	renameSave(t, main, strings.ReplaceAll(program, "VERSION", "3"))
	out.await(t, "begins 3 argument", 1)
	write(t, filepath.Join(dir, "new", "folder", "settings.yaml"), "a: 1\n")
	out.await(t, "begins 3 argument", 2)
	if err := stop(); err != nil {
		t.Error(err)
	}
	got, _ := out.look()
	for _, want := range []string{"ends 1\n", "ends 2\n", "ends 3\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("a program was not stopped gracefully, %q is missing:\n%s", want, got)
		}
	}
}

func TestAProgramThatExitsIsReportedAndRestartedAfterAChange(t *testing.T) {
	dir, out, stop := develop(t)
	main := filepath.Join(dir, "main.go")
	out.await(t, "begins 1", 1)
	write(t, main, "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(3) }\n")
	out.await(t, "program exited: exit status 3, waiting for a change", 1)
	write(t, main, strings.ReplaceAll(program, "VERSION", "2"))
	out.await(t, "begins 2", 1)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestFilesThatTheProgramWritesDoNotRestartIt(t *testing.T) {
	dir := t.TempDir()
	git := exec.Command("git", "init", "--quiet", dir)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	write(t, filepath.Join(dir, ".gitignore"), "reports/\n*.out.yaml\n")
	w, err := newWatcher(dir, time.Millisecond, "data", "state*.json")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for name, want := range map[string]bool{
		"reports/a.json": true, "x.out.yaml": true, "data/a.json": true, "sub/data/b.sql": true, "state1.json": true, "parley.yaml": false, "sub/page.html": false,
	} {
		if got := w.excluded(filepath.Join(dir, filepath.FromSlash(name))); got != want {
			t.Errorf("excluded(%q) is %t, want %t", name, got, want)
		}
	}
	if !ignored("tmp") {
		t.Error("folder tmp is watched")
	}
}

func TestAFolderThatTheProgramMovesIntoPlaceDoesNotRestartIt(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("git", "init", "--quiet", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	write(t, filepath.Join(dir, ".gitignore"), "reports/\n*.out.yaml\n")
	w, err := newWatcher(dir, time.Millisecond, "data", "state*.json")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	outside := t.TempDir()
	for _, name := range []string{"reports/a.json", "data/sub/b.sql", "mixed/x.out.yaml", "mixed/sub/state1.json", "mixed/reports/c.html", "sources/page.html"} {
		write(t, filepath.Join(outside, filepath.FromSlash(name)), "")
	}
	for _, name := range []string{"reports", "data", "mixed", "sources"} {
		if err := os.Rename(filepath.Join(outside, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "reports", "later.json"), "")
	write(t, filepath.Join(dir, "parley.yaml"), "")
	if got, want := changesUntil(t, w, "parley.yaml"), []string{"sources", "parley.yaml"}; !slices.Equal(got, want) {
		t.Errorf("changes of %q restart the program, want %q", got, want)
	}
}

// changesUntil returns the names of the changes that the watcher reports, up to that of the file last.
func changesUntil(t *testing.T, w *watcher, last string) (names []string) {
	t.Helper()
	late := time.After(patience)
	for !slices.Contains(names, last) {
		select {
		case e := <-w.fs.Events:
			if w.changes(e) {
				names = append(names, filepath.Base(e.Name))
			}
		case err := <-w.fs.Errors:
			t.Fatal(err)
		case <-late:
			t.Fatalf("no change of %s in %v, only of %q", last, patience, names)
		}
	}
	return names
}

func TestOnlySourcesAndSettingsAreRelevant(t *testing.T) {
	for name, want := range map[string]bool{
		"a/main.go": true, "go.mod": true, "parley.yaml": true, "page.tmpl": true, "main_test.go": false,
		".main.go.swp": false, ".#main.go": false, "main.go~": false, "4913": false, "app.db": false, "app.db-wal": false, "notes.txt": false,
	} {
		if got := relevant(name); got != want {
			t.Errorf("relevant(%q) is %t, want %t", name, got, want)
		}
	}
	for _, folder := range []string{".git", "vendor", "node_modules", "_x", "bin"} {
		if !ignored(folder) {
			t.Errorf("folder %q is not ignored", folder)
		}
	}
}
