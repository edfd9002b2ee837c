// Command release makes the tags of a release: one for each module, all of one version, on one commit.
//
//	release tag -version v0.1.0              dry run: prints the tags, and checks that the release can be made
//	release tag -version v0.1.0 -yes         makes the tags in this repository; nothing is pushed
//	release tree -version v0.1.0 -out DIR    writes the tagged tree to DIR/tree, a clone with its tags, and a module proxy to DIR/proxy
//	release notes -version v0.1.0            prints the notes of the release from CHANGELOG.md
//	release verify -version v0.1.0 -out dist -commit HASH    checks the files of a release
//
// The tagged commit is not on main: it differs from main in the go.mod and go.sum files. On main the modules find each other by replace
// directives; in a release they require each other at the version.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

const usage = "usage: release tag|tree|notes|verify -version vX.Y.Z [-repo DIR] [-out DIR] [-commit HASH] [-yes]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("no command\n%s", usage)
	}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "version of all modules, such as v0.1.0")
	repo := flags.String("repo", ".", "root of the repository")
	target := flags.String("out", "", "folder for tree and proxy, or the folder that verify checks")
	commit := flags.String("commit", "", "commit that verify expects in the binaries")
	yes := flags.Bool("yes", false, "make the tags, instead of a dry run")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if !semver.IsValid(*version) || semver.Canonical(*version) != *version || semver.Major(*version) > "v1" {
		return fmt.Errorf("-version %q is not of the form v0.1.0 (major version 0 or 1)", *version)
	}
	switch args[0] {
	case "notes":
		text, err := os.ReadFile(filepath.Join(*repo, "CHANGELOG.md"))
		if err != nil {
			return err
		}
		notes, err := section(text, *version)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, notes)
		return err
	case "tree":
		if *target == "" {
			return fmt.Errorf("tree needs -out\n%s", usage)
		}
		return tree(ctx, *repo, *target, *version, out)
	case "verify":
		if *target == "" || *commit == "" {
			return fmt.Errorf("verify needs -out and -commit\n%s", usage)
		}
		return verify(ctx, *target, *version, *commit, out)
	case "tag":
		return tagAll(ctx, *repo, *version, *yes, out)
	}
	return fmt.Errorf("unknown command %q\n%s", args[0], usage)
}

// tree writes the tagged clone and the module proxy.
func tree(ctx context.Context, repo, target, version string, out io.Writer) error {
	r, err := makeRelease(ctx, repo, filepath.Join(target, "tree"), version)
	if err != nil {
		return err
	}
	if err := writeProxy(r.dir, filepath.Join(target, "proxy"), version, r.modules, r.time); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %d modules, commit %s\n", version, len(r.modules), r.commit)
	return err
}

// tagAll makes all tags in the repository at once, or prints them.
func tagAll(ctx context.Context, repo, version string, yes bool, out io.Writer) error {
	problems, err := notReady(repo, version)
	if err != nil {
		return err
	}
	if yes && len(problems) > 0 {
		return fmt.Errorf("main is not ready for %s (change and commit this):\n  %s", version, strings.Join(problems, "\n  "))
	}
	dir, err := os.MkdirTemp("", "parley-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := makeRelease(ctx, repo, filepath.Join(dir, "tree"), version)
	if err != nil {
		return err
	}
	tags := r.tags()
	for _, tag := range tags {
		if _, err := fmt.Fprintln(out, tag); err != nil {
			return err
		}
	}
	if !yes {
		for _, p := range problems {
			if _, err := fmt.Fprintln(out, "to do before the tags are made:", p); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(out, "dry run: %d tags, none was made (make them with -yes)\n", len(tags))
		return err
	}
	fetch := []string{"fetch", "--quiet", "--no-tags", "--atomic", r.dir}
	for _, tag := range tags {
		fetch = append(fetch, "refs/tags/"+tag+":refs/tags/"+tag)
	}
	if _, err := git(ctx, repo, fetch...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "made %d tags on commit %s; publish them together:\n\n  git push --atomic origin %s\n", len(tags), r.commit, strings.Join(tags, " "))
	return err
}
