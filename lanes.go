package parley

import (
	"context"
	"hash/maphash"
	"sync"
)

// lanes handle deliveries at once, but those of one key one after another: each key has
// a lane of its own by hash. Deliveries without a key take any free lane.
type lanes struct {
	c    *Consumer
	free chan job
	own  []chan job
	stop func()
}

type job struct {
	d     *Delivery
	route *Route
}

// newLanes starts the lanes; stop ends and joins them. Jobs that have not begun when ctx ends
// are left unsettled: they return to the queue with the channel.
func newLanes(c *Consumer, ctx, hard context.Context) *lanes {
	l := &lanes{c: c, free: make(chan job, c.cfg.Prefetch), own: make([]chan job, c.cfg.Lanes)}
	var wg sync.WaitGroup
	for i := range l.own {
		// A lane's queue holds all that may be in hand, so that dispatch never blocks.
		l.own[i] = make(chan job, c.cfg.Prefetch)
		wg.Go(func() { l.work(ctx, hard, l.own[i]) })
	}
	l.stop = func() {
		close(l.free)
		for _, own := range l.own {
			close(own)
		}
		wg.Wait()
	}
	return l
}

func (l *lanes) dispatch(d *Delivery) {
	l.c.inHand.Add(1)
	j := job{d, l.c.router.match(d.Exchange, d.RoutingKey)}
	if j.route != nil && j.route.options.key != nil {
		if key := j.route.options.key(d); key != "" {
			l.own[maphash.String(l.c.seed, key)%uint64(len(l.own))] <- j
			return
		}
	}
	l.free <- j
}

func (l *lanes) work(ctx, hard context.Context, own <-chan job) {
	free := (<-chan job)(l.free)
	for own != nil || free != nil {
		var j job
		var ok bool
		select {
		case j, ok = <-own:
			if !ok {
				own = nil
			}
		case j, ok = <-free:
			if !ok {
				free = nil
			}
		}
		if !ok {
			continue
		}
		if ctx.Err() == nil {
			l.c.handle(ctx, hard, j.d, j.route)
		}
		l.c.inHand.Add(-1)
	}
}
