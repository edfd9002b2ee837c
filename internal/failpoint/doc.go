// Package failpoint marks the places where a fault test has a process die, freeze, wait, fail or panic.
//
// In a normal build Hit is empty and inlined away. A program built with the tag "faults" reads from
// PARLEY_FAULT what is to happen where, "place:pass:action" with ";" between several:
//
//	PARLEY_FAULT="relay.confirmed:3:kill" parley relay
//
// The pass counts from 1; "*" means each one. The actions are
//
//	kill         SIGKILL to this process: not one instruction further
//	stop         SIGSTOP to this process, until SIGCONT arrives
//	sleep=20ms   a pause
//	error        Hit returns ErrInjected
//	panic        Hit panics
//
// What strikes says so on standard error, in a line that begins with "failpoint:", so that a test can
// tell its fault from another death.
//
// Exit is os.Exit, but for the same builds: there a program that ends well must have ended all its goroutines.
package failpoint
