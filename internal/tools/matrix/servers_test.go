//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAServersAccountIsThatOfItsSystem(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"etc/passwd": "root:x:0:0::/:/bin/sh\nmysql:x:17:18::/:/bin/false\n", "usr/sbin/mysqld": ""} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	n := &node{root: root, account: "mysql", dir: "/var/tmp/x"}
	cmd, err := n.command(t.Context(), "/usr/sbin/mysql*", "--port=1")
	if err != nil {
		t.Fatal(err)
	}
	c := cmd.SysProcAttr.Credential
	if cmd.Path != "/usr/sbin/mysqld" || cmd.SysProcAttr.Chroot != root || c.Uid != 17 || c.Gid != 18 {
		t.Errorf("%s in %s as %d:%d, want /usr/sbin/mysqld in %s as 17:18", cmd.Path, cmd.SysProcAttr.Chroot, c.Uid, c.Gid, root)
	}
	if _, err := n.command(t.Context(), "/usr/sbin/mariadbd"); err == nil || !strings.Contains(err.Error(), "has no /usr/sbin/mariadbd") {
		t.Errorf("a missing program: %v, want an error that names it", err)
	}
	n.account = "rabbitmq"
	if _, err := n.credential(); err == nil || !strings.Contains(err.Error(), `no account "rabbitmq"`) {
		t.Errorf("a missing account: %v, want an error that names it", err)
	}
}
