//go:build !race

package benchmarks_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/parley-go/parley/internal/testenv"
)

// beforeVariable names a test binary of an earlier version of this folder: git worktree add, and go test -c in its benchmarks.
const beforeVariable = "PARLEY_BENCH_BEFORE"

// BenchmarkBeforeAndAfter runs benchmarks that need no failure store with an earlier version and with this one, in turn, each in a process
// of its own. It compares the rates, the ratios to the raw client in the same run, and the CPU times, which depend
// least on other load of the machine.
func BenchmarkBeforeAndAfter(b *testing.B) {
	before := os.Getenv(beforeVariable)
	if before == "" {
		testenv.SkipOptional(b, beforeVariable, "/path/of/the/binary")
	}
	for _, name := range []string{"RelayDrain", "Consumer", "OnTx"} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				var rates, toRaw, busy, olds, news []float64
				for round := range rounds() {
					binaries := []string{before, must(os.Executable())}
					results := make([]ranOnce, 2)
					for i := range binaries {
						if round%2 == 1 {
							i = 1 - i
						}
						results[i] = runOnce(b, binaries[i], name)
					}
					olds, news = append(olds, results[0].rate), append(news, results[1].rate)
					rates, toRaw = append(rates, results[1].rate/results[0].rate), append(toRaw, results[1].ratio/results[0].ratio)
					busy = append(busy, results[1].cpu/results[0].cpu)
				}
				b.Logf("before: %s msg/s; after: %s msg/s; ratio %s; of the ratios to the raw client %s, of the CPU time %s",
					spread(olds, 0), spread(news, 0), spread(rates, 3), spread(toRaw, 3), spread(busy, 3))
				b.ReportMetric(median(rates), "ratio")
				b.ReportMetric(slices.Min(rates), "ratio-min")
				b.ReportMetric(slices.Max(rates), "ratio-max")
				b.ReportMetric(median(toRaw), "ratio-to-raw")
				b.ReportMetric(median(busy), "cpu-ratio")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// ranOnce is the report of a benchmark, and the CPU time of its process with the raw client.
type ranOnce struct{ rate, ratio, cpu float64 }

var (
	reportedRate  = regexp.MustCompile(`([0-9.e+]+) msg/s`)
	reportedRatio = regexp.MustCompile(`([0-9.e+]+) ratio\s`)
)

// runOnce runs one round of a benchmark of a test binary.
func runOnce(b *testing.B, binary, name string) ranOnce {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), binary, "-test.run", "^$", "-test.bench", "^Benchmark"+name+"$", "-test.benchtime", "1x")
	cmd.Env = append(os.Environ(), "PARLEY_BENCH_ROUNDS=1", beforeVariable+"=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v\n%s", binary, err, out)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return ranOnce{lastNumber(b, reportedRate, out), lastNumber(b, reportedRatio, out), cpu.Seconds()}
}

// lastNumber returns the last number that a pattern matches, because the result follows the log of a benchmark.
func lastNumber(b *testing.B, pattern *regexp.Regexp, out []byte) float64 {
	b.Helper()
	found := pattern.FindAllSubmatch(bytes.TrimSpace(out), -1)
	if len(found) == 0 {
		b.Fatalf("found no %s in\n%s", pattern, out)
	}
	return must(strconv.ParseFloat(string(found[len(found)-1][1]), 64))
}
