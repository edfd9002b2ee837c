//go:build unix

package faulttests_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A usage is the memory and the descriptors of an idle process.
type usage struct {
	memory int // resident, in MiB
	files  int // open descriptors, connections among them
}

func (p *process) usage() usage {
	p.t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		p.t.Fatal(err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return usage{pages * os.Getpagesize() >> 20, len(files)}
}

var peakMemory = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak returns the peak resident memory of the process in MiB.
func (p *process) peak() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	m := peakMemory.FindSubmatch(status)
	if m == nil {
		p.t.Fatalf("no peak memory in the status of the child:\n%s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		p.t.Fatal(err)
	}
	return kib >> 10
}

// checkUsage compares the usage after the last round with that after the first, which fills pools and caches.
func checkUsage(t *testing.T, who string, rounds []usage) {
	t.Helper()
	t.Logf("%s: MiB and descriptors after each round: %v", who, rounds)
	if len(rounds) < 2 {
		return
	}
	first, last := rounds[0], rounds[len(rounds)-1]
	// A leak of one connection per fault, or of one delivery's body in ten, exceeds these limits.
	if last.files > first.files+8 {
		t.Errorf("%s has %d open descriptors after %d rounds, %d after the first", who, last.files, len(rounds), first.files)
	}
	if last.memory > first.memory*3/2+32 {
		t.Errorf("%s has %d MiB of memory after %d rounds, %d after the first", who, last.memory, len(rounds), first.memory)
	}
}
