package sqlstore

import (
	"io"
	"io/fs"
	"slices"
	"strings"
)

// failedFiles are the migrations of the table of failed deliveries, with another table name in them.
type failedFiles struct {
	fs.FS
	names *strings.Replacer
}

// Open implements fs.FS.
func (f failedFiles) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	return &renamedFile{file, strings.NewReader(f.names.Replace(string(text)))}, nil
}

// ReadDir implements fs.ReadDirFS.
func (f failedFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(f.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return !e.IsDir() && !strings.Contains(e.Name(), "_failed")
	}), err
}

// A renamedFile is a file whose text has been replaced.
type renamedFile struct {
	fs.File
	text io.Reader
}

// Read implements io.Reader.
func (f *renamedFile) Read(p []byte) (int, error) { return f.text.Read(p) }
