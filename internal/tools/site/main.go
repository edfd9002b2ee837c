// Command site makes the site of the documents: it prepares the content for mkdocs with the theme Material (Debian: mkdocs-material), runs it,
// and checks that every link of the result leads somewhere and that the search finds every page.
//
//	site -version 0.1.0 -out site/public
//
// Each version has a folder of its own; versions.json lists them for the selector, and index.html leads to the newest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	root := flag.String("root", ".", "root of the repository")
	version := flag.String("version", "dev", "version of the documents, dev or such as 0.1.0")
	out := flag.String("out", "site/public", "folder of all versions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := build(ctx, *root, *out, *version); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

var versionPattern = regexp.MustCompile(`^(dev|\d+\.\d+\.\d+)$`)

// build makes the folder of one version.
func build(ctx context.Context, root, out, version string) error {
	if !versionPattern.MatchString(version) {
		return fmt.Errorf("-version %q is neither dev nor of the form 0.1.0", version)
	}
	mkdocs, err := exec.LookPath("mkdocs")
	if err != nil {
		return errors.New("mkdocs is not in PATH (install the packages mkdocs and mkdocs-material)")
	}
	dir, err := os.MkdirTemp("", "parley-site-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	examples, err := prepare(root, filepath.Join(dir, "content"))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "site", "mkdocs.yml"))
	if err != nil {
		return err
	}
	problems, err := unlisted(string(text), filepath.Join(dir, "content"))
	if err != nil {
		return err
	}
	var nav strings.Builder
	for _, name := range examples {
		fmt.Fprintf(&nav, "\n      - %s: examples/%s.md", name, name)
	}
	config := filepath.Join(dir, "mkdocs.yml") // its paths are relative to it
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), " EXAMPLES", nav.String(), 1)), 0o644); err != nil {
		return err
	}
	target, err := filepath.Abs(filepath.Join(out, version))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mkdocs, "build", "--quiet", "--clean", "--config-file", config, "--site-dir", target)
	if printed, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mkdocs: %w\n%s", err, printed)
	}
	if err := writeVersions(out); err != nil {
		return err
	}
	pages, broken, err := checkLinks(target)
	if err != nil {
		return err
	}
	missing, err := checkSearch(target)
	if err != nil {
		return err
	}
	for _, p := range slices.Concat(problems, broken, missing) {
		err = errors.Join(err, errors.New(p))
	}
	if err == nil {
		fmt.Printf("%s: %d pages, all in the search index, all links lead to pages and headings that exist\n", target, pages)
	}
	return err
}
