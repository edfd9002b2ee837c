//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAPackageThatFailsWithoutAFailedTestCountsAsOneFailure(t *testing.T) {
	var r result
	err := r.read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA/sub"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC/sub","Output":"the reason\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"fine\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}
go: some text
{"Action":"fail","Package":"q"}
`))
	if err != nil || r.passed != 1 || r.skipped != 1 || r.failed != 2 {
		t.Errorf("got %+v (%v), want 1 passed, 1 skipped, 2 failed", &r, err)
	}
	if want := []string{"p TestC", "q (build, timeout or end of the process)"}; !slices.Equal(r.failures, want) {
		t.Errorf("failures %q, want %q", r.failures, want)
	}
	if out := r.output.String(); !strings.Contains(out, "the reason") || strings.Contains(out, "fine") {
		t.Errorf("the output of the failed tests is %q", out)
	}
}

func TestALineOfTheTableReplacesTheEarlierLineOfItsRowAndSuiteOnly(t *testing.T) {
	day := time.Date(2030, 2, 3, 4, 5, 6, 0, time.UTC)
	made := func(row, suite string, passed int) []string {
		return lines([]*result{{row: row, servers: "RabbitMQ 4.3.6", suite: suite, passed: passed, failed: 1, seconds: 12.4}}, day)
	}
	if want := "| sid | RabbitMQ 4.3.6 | rabbitmq | 3 | 0 | 1 | 12 | 2030-02-03 |\n"; made("sid", "rabbitmq", 3)[0] != want {
		t.Errorf("got %q, want %q", made("sid", "rabbitmq", 3), want)
	}
	earlier := slices.Concat([]string{"no line of a table\n"}, made("sid", "rabbitmq", 1), made("gone", "rabbitmq", 1), made("sid", "mysql", 2))
	got := merge(earlier, slices.Concat(made("sid", "rabbitmq", 9), made("host", "faults", 4)))
	want := slices.Concat(made("host", "faults", 4), made("sid", "rabbitmq", 9), made("sid", "mysql", 2))
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
