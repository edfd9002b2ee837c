package service

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parley-go/parley"

// forbidden lists the packages that a package below service must not link outside its tests, with the reason.
var forbidden = []struct {
	pkg      string
	packages []string // with the packages below them
	why      string
}{
	{"/service/settings", []string{
		module + "/service", module + "/postgres", module + "/mysql", module + "/sqlite", module + "/rabbitmq", module + "/memory", module + "/rest", module + "/otelparley",
		"github.com/spf13/cobra", "github.com/jackc/pgx/v5", "github.com/rabbitmq/amqp091-go", "github.com/prometheus/client_golang", "net/http",
	}, "settings can be read and checked without the packages that use them"},
	{"/service", []string{module + "/service/command", "github.com/spf13/cobra"}, "a program with a command line of its own does not link another one"},
}

func TestSettingsServiceAndCommandsDependInOneDirection(t *testing.T) {
	for _, rule := range forbidden {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+rule.pkg).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for pkg := range strings.Lines(string(out)) {
			pkg = strings.TrimSpace(pkg)
			own := pkg == module+rule.pkg || strings.HasPrefix(pkg, module+"/service/internal/") || rule.pkg == "/service" && pkg == module+"/service/settings"
			linked := slices.ContainsFunc(rule.packages, func(bad string) bool { return pkg == bad || strings.HasPrefix(pkg, bad+"/") })
			if linked && !own {
				t.Errorf("%s links %s: %s", rule.pkg[1:], pkg, rule.why)
			}
		}
	}
}
