//go:build unix

package faulttests_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// rootVariable is the environment variable that names the system whose servers the tests start: a chroot that `make matrix` has made,
// or "/" for the installed packages.
const rootVariable = "PARLEY_FAULTS_ROOT"

// systemRoot returns the folder of that system. The default is "/"; for the tests of a cluster it is the newest chroot of
// `make matrix`, if there is one.
func systemRoot() string {
	if root := os.Getenv(rootVariable); root != "" {
		return root
	}
	if os.Getenv(faultsVariable) == clusterFaults && os.Geteuid() == 0 {
		cache := os.Getenv("PARLEY_MATRIX_CACHE")
		if dir, err := os.UserCacheDir(); cache == "" && err == nil {
			cache = filepath.Join(dir, "parley", "matrix")
		}
		for _, suite := range []string{"sid", "trixie"} {
			root := filepath.Join(cache, suite)
			complete, mounted := filepath.Join(root, "etc/parley-matrix"), filepath.Join(root, "proc/self")
			if exists(complete) && exists(mounted) {
				return root
			}
		}
	}
	return "/"
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// credentialIn reads an account from the passwd file of a system.
func credentialIn(root, account string) (*syscall.Credential, error) {
	text, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(line, ":")
		if len(f) < 4 || f[0] != account {
			continue
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(f[3], 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
	}
	return nil, fmt.Errorf("%s has no account %q (is the server installed?)", root, account)
}

func TestTheAccountOfAServerIsReadFromItsOwnSystem(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	passwd := "root:x:0:0::/root:/bin/sh\npostgres:x:103:105::/var/lib/postgresql:/bin/bash\n"
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := credentialIn(root, "postgres")
	if err != nil || c.Uid != 103 || c.Gid != 105 {
		t.Errorf("the account is %+v (%v), want 103:105", c, err)
	}
	if _, err := credentialIn(root, "rabbitmq"); err == nil || !strings.Contains(err.Error(), "rabbitmq") {
		t.Errorf("a missing account returns %v, want an error that names it", err)
	}
}
