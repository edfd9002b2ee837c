package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service/command"
)

// The linker sets these in the binaries of a release (.goreleaser.yaml). "go install" does not; then the build information has the version.
var version, commit, date string

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version of parley and of Go", Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			return printVersion(cmd.OutOrStdout(), info)
		},
	}
}

// printVersion prints the version, the commit and its date, as far as they are known. info may be nil.
func printVersion(w io.Writer, info *debug.BuildInfo) error {
	_, err := fmt.Fprintf(w, "parley %s, %s %s/%s\n", describe(info), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func describe(info *debug.BuildInfo) string {
	if version != "" {
		return version + " " + commit + " " + date
	}
	if info == nil {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text += " " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			text += " (modified)"
		}
	}
	return text
}
