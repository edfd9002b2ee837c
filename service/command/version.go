package command

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

const parleyModule = "github.com/parley-go/parley"

// versionCommand prints the versions of the binary's module and of parley.
func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the versions of this program, of parley and of Go", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			report(cmd.OutOrStdout(), "%s", versionText(cmd.Root().Name(), info))
			return nil
		},
	}
}

// versionText returns a line such as "shop v1.2.0 5d41402, parley v0.1.0, go1.26 linux/amd64".
func versionText(name string, info *debug.BuildInfo) string {
	version, revision, library := "unknown", "", ""
	if info != nil {
		version = cmp.Or(info.Main.Version, version)
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = " " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				revision += " (modified)"
			}
		}
		for _, m := range info.Deps {
			if m.Path == parleyModule {
				library = ", parley " + m.Version
			}
		}
	}
	return fmt.Sprintf("%s %s%s%s, %s %s/%s", name, version, revision, library, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
