//go:build !linux

package faulttests_test

import "syscall"

// orphan would have a child end with its parent, which only Linux can do.
func orphan() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
