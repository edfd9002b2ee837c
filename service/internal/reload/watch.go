package reload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A watcher detects changes of files in a source tree. It watches folders, not files, because some editors write a new file and
// rename it over the old one.
type watcher struct {
	fs      *fsnotify.Watcher
	root    string
	settled time.Duration
	exclude []string // patterns, see Config.Exclude
}

// extensions are the extensions of files that a service may depend on.
var extensions = []string{".go", ".mod", ".sum", ".work", ".yaml", ".yml", ".json", ".toml", ".tmpl", ".gohtml", ".html", ".sql", ".proto"}

// skipped are folders without sources of the service.
var skipped = []string{"vendor", "node_modules", "bin", "dist", "build", "testdata", "tmp"}

func newWatcher(root string, settled time.Duration, exclude ...string) (*watcher, error) {
	f, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	w := &watcher{fs: f, root: root, settled: settled, exclude: exclude}
	if _, err := w.add(root); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", root, err), f.Close())
	}
	return w, nil
}

// add watches a folder and its subfolders. In a created folder it skips excluded ones, and reports whether a file matters. It checks
// neither at the start: git would run once for each of them, and a folder that git ignores can contain tracked files.
func (w *watcher) add(root string) (found bool, err error) {
	created := root != w.root
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != root:
			return nil // deleted in the meantime
		case err != nil:
			return err
		case !d.IsDir():
			found = found || created && w.matters(path)
			return nil
		case path != root && ignored(d.Name()), created && w.excluded(path):
			return filepath.SkipDir
		}
		return w.fs.Add(path)
	})
	return found, err
}

func ignored(folder string) bool {
	return strings.HasPrefix(folder, ".") || strings.HasPrefix(folder, "_") || slices.Contains(skipped, folder)
}

// relevant reports whether a change of the file can change the service. Tests and temporary files of editors are not relevant.
func relevant(path string) bool {
	name := filepath.Base(path)
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") || strings.HasSuffix(name, "_test.go") {
		return false
	}
	return slices.Contains(extensions, filepath.Ext(name))
}

// matters reports whether a change of the file restarts the program.
func (w *watcher) matters(file string) bool {
	return relevant(file) && !w.excluded(file)
}

// wait blocks until relevant files have changed and then stayed unchanged for the settled time. It returns the error of ctx if ctx
// ends first.
func (w *watcher) wait(ctx context.Context) error {
	quiet := time.NewTimer(0)
	<-quiet.C
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-quiet.C:
			return nil
		case e, ok := <-w.fs.Events:
			if !ok {
				return errors.New("watch files: watcher closed")
			}
			if w.changes(e) {
				quiet.Reset(w.settled)
			}
		case err, ok := <-w.fs.Errors:
			if !ok {
				return errors.New("watch files: watcher closed")
			}
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				quiet.Reset(w.settled) // events were lost: assume a change
				continue
			}
			return fmt.Errorf("watch files: %w", err)
		}
	}
}

// changes reports whether an event concerns a file that matters. It watches new folders.
func (w *watcher) changes(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	if e.Has(fsnotify.Create) {
		if info, err := os.Stat(e.Name); err == nil && info.IsDir() {
			if ignored(filepath.Base(e.Name)) {
				return false
			}
			found, err := w.add(e.Name)
			return found || err != nil
		}
	}
	return w.matters(e.Name)
}

// excluded reports whether a file or folder is excluded by the configuration or ignored by git: a program that writes such a file
// would be restarted without end.
func (w *watcher) excluded(path string) bool {
	relative, err := filepath.Rel(w.root, path)
	if err != nil {
		relative = path
	}
	for _, pattern := range w.exclude {
		for part := relative; part != "." && part != string(filepath.Separator); part = filepath.Dir(part) {
			whole, _ := filepath.Match(pattern, part) // develop has checked the patterns
			base, _ := filepath.Match(pattern, filepath.Base(part))
			if whole || base {
				return true
			}
		}
	}
	cmd := exec.Command("git", "check-ignore", "--quiet", relative)
	cmd.Dir = w.root
	return cmd.Run() == nil // exit code 1: not ignored; 128: not a repository
}

func (w *watcher) close() error { return w.fs.Close() }
