//go:build !linux

// Command matrix runs the tests against several versions of the servers. It does so on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "matrix: needs Linux with debootstrap, as root")
	os.Exit(1)
}
