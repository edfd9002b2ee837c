//go:build !unix

// Command testservers finds or starts the servers that the tests need. It does so on Unix systems only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "testservers: starting servers needs a Unix system (set PARLEY_TEST_POSTGRES_URL, PARLEY_TEST_MARIADB_DSN and PARLEY_TEST_RABBITMQ_URL, and run \"go test work\")")
	os.Exit(1)
}
