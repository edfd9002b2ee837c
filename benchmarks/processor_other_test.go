//go:build !unix && !race

package benchmarks_test

import "time"

// processorTime is not available on this system.
func processorTime() time.Duration { return 0 }
