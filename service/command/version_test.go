package command

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/parley-go/parley/service"
)

func TestAVersionNamesProgramAndLibrary(t *testing.T) {
	info := &debug.BuildInfo{
		Main:     debug.Module{Path: "example.com/shop", Version: "v1.2.0"},
		Deps:     []*debug.Module{{Path: parleyModule + "/rabbitmq", Version: "v0.3.0"}, {Path: parleyModule, Version: "v0.1.0"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
	}
	end := ", " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	if got, want := versionText("shop", info), "shop v1.2.0 abc (modified), parley v0.1.0"+end; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := versionText("shop", nil), "shop unknown"+end; got != want {
		t.Errorf("without build information: got %q, want %q", got, want)
	}
}

func TestEveryBinaryHasVersionAndCompletion(t *testing.T) {
	for name, register := range map[string]func(*service.Service) error{"svc": func(*service.Service) error { return nil }, "parley": nil} {
		code, out, errs := callWith(t, register, nil, "version")
		if code != ExitOK {
			t.Errorf("%s version: exit code %d\n%s%s", name, code, out, errs)
		}
		wantText(t, out, name+" ", runtime.Version())
		_, help, _ := callWith(t, register, nil, "--help")
		wantText(t, help, "completion ", "version ", "status ")
		for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
			if code, out, errs := callWith(t, register, nil, "completion", shell); code != ExitOK || len(out) < 100 {
				t.Errorf("%s completion %s: exit code %d\n%s", name, shell, code, errs)
			}
		}
	}
}
