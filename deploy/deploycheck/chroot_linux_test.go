package deploycheck

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// inImage returns a command that runs in the root file system of an image, as its user, with its entrypoint.
func inImage(t *testing.T, dir string, image config, environment []string, args ...string) *exec.Cmd {
	t.Helper()
	user, group, _ := strings.Cut(image.user, ":")
	uid, err := strconv.ParseUint(user, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: image.entrypoint[0], Args: append(append([]string{}, image.entrypoint...), args...), Dir: "/", Env: append([]string{}, environment...)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}}
	return cmd
}
