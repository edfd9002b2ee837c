package parley

import "time"

// RetryTopology returns the retry queues for the delays, and the parked queue, as declared by a consumer of queue without a
// failure store. It is for tools that inspect them.
func RetryTopology(queue string, delays []time.Duration, arguments map[string]any) Topology {
	return retryTopology(queue, TopologyDeclare, delays, arguments)
}
