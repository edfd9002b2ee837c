// Package faulttests proves on real servers what parley promises when things break: processes
// are killed and frozen, connections cut, confirms swallowed, servers restarted. A ledger,
// written in the producer's own transactions, tells afterwards what was lost, invented, doubled
// or reordered, and every test shows that its fault was felt.
//
//	go test -race ./faulttests/                                  the quick set, under 4 minutes
//	PARLEY_FAULTS=all go test -race -timeout 30m ./faulttests/   also those with servers of their own
//	PARLEY_FAULTS_TABLE=counts.md go test ./faulttests/          writes the table of counts
//
// It holds tests only. The processes that get killed are the test binary itself: it
// starts again with a role in its environment (see child_test.go).
package faulttests
