// Package faulttests tests parley's promises under faults, on real servers: processes are
// killed and frozen, connections cut, confirms swallowed, servers restarted. A ledger, written
// in the producer's own transactions, shows afterwards which events were lost, invented,
// doubled or reordered. Each test proves that its fault happened.
//
//	go test -race ./faulttests/                                  the quick set, under 5 minutes
//	PARLEY_FAULTS=all go test -race -timeout 30m ./faulttests/   also those with servers of their own
//	PARLEY_FAULTS=cluster go test -v -run Cluster ./faulttests/  those on a cluster (see make faults-cluster)
//	PARLEY_FAULTS_ROOT=/chroot go test ./faulttests/             starts the private servers of another system
//	PARLEY_FAULTS_TABLE=counts.md go test ./faulttests/          writes the table of counts
//	PARLEY_FAULTS_SOAK=30m go test -race -timeout 0 -v -run TestASoak ./faulttests/   all faults at once
//	PARLEY_FAULTS_SEED=42 go test -run X ./faulttests/           repeats the random choices of a run
//
// The package has only tests. The killed processes are real programs, built once per run with the tag faults
// (programs_test.go): cmd/parley, and the service in folder victim. Package failpoint kills, freezes or fails
// them at marked places.
package faulttests
