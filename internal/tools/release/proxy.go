package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/module"
)

// writeProxy writes the modules of a prepared tree to a folder that serves as GOPROXY=file://folder.
func writeProxy(root, folder, version string, list []*mod, at time.Time) error {
	for _, m := range list {
		escaped, err := module.EscapePath(m.path)
		if err != nil {
			return err
		}
		dir := filepath.Join(folder, escaped, "@v")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		info, err := json.Marshal(struct {
			Version string
			Time    time.Time
		}{version, at.UTC()})
		if err != nil {
			return err
		}
		goMod, err := os.ReadFile(filepath.Join(root, m.folder, "go.mod"))
		if err != nil {
			return err
		}
		for name, content := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": goMod} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				return err
			}
		}
		archive, err := os.Create(filepath.Join(dir, version+".zip"))
		if err != nil {
			return err
		}
		if err := errors.Join(writeZip(archive, root, m, version), archive.Close()); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	return nil
}
