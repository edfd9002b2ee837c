// Package console shows the state of parley services in a browser, and repairs what is parked: it replays, edits and drops parked
// messages, cancels and moves scheduled ones. [New] returns an http.Handler that can be mounted in any mux. It needs no JavaScript, no
// other server and no file.
//
// A console is read-only unless [Options].Write is set. Without [Options].Authorize it answers only requests that arrive at a loopback
// address under a loopback name. See docs/console.md for the screens and for the rules of security.
package console
