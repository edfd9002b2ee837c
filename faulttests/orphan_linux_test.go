package faulttests_test

import "syscall"

// orphan has the kernel kill a child whose parent is gone: a test run that is aborted leaves nothing behind, frozen
// children included.
func orphan() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
