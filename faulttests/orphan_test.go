//go:build unix && !linux

package faulttests_test

import "syscall"

// orphan does nothing here: only Linux can end a child together with its parent.
func orphan() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
