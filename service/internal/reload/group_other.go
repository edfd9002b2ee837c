//go:build !unix

package reload

import (
	"os/exec"
	"syscall"
)

func ownGroup(*exec.Cmd) {}

func terminateGroup(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGTERM) }

func killGroup(cmd *exec.Cmd) error { return cmd.Process.Kill() }

func groupRuns(*exec.Cmd) bool { return false }
