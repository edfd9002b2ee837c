package parley

import (
	"fmt"
	"runtime/debug"
)

// address finds the route and the ordering key of a job.
func (c *Consumer) address(j *job) {
	j.retries = j.d.history.Retries
	j.route = c.router.match(j.d.Exchange, j.d.RoutingKey)
	if err := j.findKey(); err != nil {
		j.verdict = verdict{action: actPark, err: err}
	}
}

// findKey computes the message's ordering key by the route's function. That is user code: on a poison
// message it may panic, which must not crash the process.
func (j *job) findKey() (err error) {
	if j.route == nil || j.route.options.key == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("read the ordering key: %w", &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	j.key = boundedText(j.route.options.key(j.d))
	return nil
}
