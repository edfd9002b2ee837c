//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
)

func TestAPackageThatFailsWithoutAFailedTestCountsAsOneFailure(t *testing.T) {
	var r result
	err := r.read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA/sub"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}
go: some text
{"Action":"fail","Package":"q"}
`))
	if err != nil || r.passed != 1 || r.skipped != 1 || r.failed != 2 {
		t.Errorf("got %+v (%v), want 1 passed, 1 skipped, 2 failed", r, err)
	}
	if want := []string{"p TestC", "q (build, timeout or end of the process)"}; !slices.Equal(r.failures, want) {
		t.Errorf("failures %q, want %q", r.failures, want)
	}
}

func TestTheTableHasALineForEachSuite(t *testing.T) {
	got := table([]result{{row: "sid", servers: "RabbitMQ 4.3.6", suite: "rabbitmq", passed: 3, failed: 1, seconds: 12.4}})
	if want := "| sid | RabbitMQ 4.3.6 | rabbitmq | 3 | 0 | 1 | 12 |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("table ends with %q, want %q", got, want)
	}
}
