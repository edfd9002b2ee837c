package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A release is a clone with the commit and the tags of a version.
type release struct {
	dir, version, commit string
	time                 time.Time
	modules              []*mod
}

func (r *release) tags() (tags []string) {
	for _, m := range r.modules {
		tags = append(tags, m.tag(r.version))
	}
	return tags
}

// makeRelease clones the repository into dir, which must not exist, and makes the commit and the tags of a release there. The repository itself
// is not changed. Author and times of the commit are those of the last commit: whoever repeats the release gets the same commit.
func makeRelease(ctx context.Context, repo, dir, version string) (*release, error) {
	if changed, err := git(ctx, repo, "status", "--porcelain", "--untracked-files=no"); err != nil {
		return nil, err
	} else if changed != "" {
		return nil, fmt.Errorf("the repository has changes that are not committed:\n%s", changed)
	}
	if taken, err := git(ctx, repo, "tag", "--list", version, "*/"+version); err != nil {
		return nil, err
	} else if taken != "" {
		return nil, fmt.Errorf("tags of %s exist already: %s", version, strings.Join(strings.Fields(taken), " "))
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(repo, "CHANGELOG.md"))
	if err != nil {
		return nil, err
	}
	notes, err := section(text, version)
	if err != nil {
		return nil, err
	}
	if _, err := git(ctx, repo, "clone", "--quiet", "--no-tags", ".", dir); err != nil {
		return nil, err
	}
	r := &release{dir: dir, version: version}
	if r.modules, err = prepare(dir, version); err != nil {
		return nil, err
	}
	return r, r.commitAndTag(ctx, notes)
}

func (r *release) commitAndTag(ctx context.Context, notes string) error {
	last, err := git(ctx, r.dir, "log", "-1", "--format=%an%x00%ae%x00%aI")
	if err != nil {
		return err
	}
	author := strings.Split(last, "\x00")
	if r.time, err = time.Parse(time.RFC3339, author[2]); err != nil {
		return err
	}
	identity := []string{"-c", "user.name=" + author[0], "-c", "user.email=" + author[1], "-c", "tag.gpgSign=false", "-c", "commit.gpgSign=false"}
	environment := []string{"GIT_AUTHOR_DATE=" + author[2], "GIT_COMMITTER_DATE=" + author[2]}
	commands := [][]string{{"checkout", "--quiet", "--detach"}, {"add", "--all"}, {"commit", "--quiet", "--message", "release " + r.version}}
	for _, tag := range r.tags() {
		commands = append(commands, []string{"tag", "--annotate", "--cleanup=verbatim", "--message", "parley " + r.version + "\n\n" + notes, tag})
	}
	for _, args := range commands {
		if _, err := gitWith(ctx, r.dir, environment, append(append([]string{}, identity...), args...)...); err != nil {
			return err
		}
	}
	r.commit, err = git(ctx, r.dir, "rev-parse", "HEAD")
	return err
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	return gitWith(ctx, dir, nil, args...)
}

// gitWith runs git with additional environment variables, and returns its output without the last newline.
func gitWith(ctx context.Context, dir string, environment []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environment...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(problems.String()))
	}
	return strings.TrimRight(string(out), "\n"), nil
}
