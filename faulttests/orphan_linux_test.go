package faulttests_test

import "syscall"

// orphan makes the kernel kill the child when its parent ends: an aborted test run leaves no children, not even
// frozen ones.
func orphan() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
