package reload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	settled time.Duration
}

// extensions are the extensions of files that a service may depend on.
var extensions = []string{".go", ".mod", ".sum", ".work", ".yaml", ".yml", ".json", ".toml", ".tmpl", ".gohtml", ".html", ".sql", ".proto"}

// skipped are folders without sources of the service.
var skipped = []string{"vendor", "node_modules", "bin", "dist", "build", "testdata"}

func newWatcher(root string, settled time.Duration) (*watcher, error) {
	f, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	w := &watcher{fs: f, settled: settled}
	if _, err := w.add(root); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", root, err), f.Close())
	}
	return w, nil
}

// add watches a folder and its subfolders, and reports whether they contain a relevant file.
func (w *watcher) add(root string) (found bool, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != root:
			return nil // deleted in the meantime
		case err != nil:
			return err
		case !d.IsDir():
			found = found || relevant(path)
			return nil
		case path != root && ignored(d.Name()):
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

// changes reports whether an event concerns a relevant file. It watches new folders.
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
	return relevant(e.Name)
}

func (w *watcher) close() error { return w.fs.Close() }
