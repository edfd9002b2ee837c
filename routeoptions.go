package parley

import "fmt"

// A RouteOption is a choice for one route.
type RouteOption func(*routeOptions)

type routeOptions struct {
	key   func(*Delivery) string
	hold  bool
	retry RetryPolicy

	rollBackExpired bool
	replyExchanges  []string
}

func (o *routeOptions) check() error {
	if err := o.retry.check(); err != nil {
		return err
	}
	if o.retry.Quick == nil || o.retry.Delays == nil {
		return nil // the consumer fills in the rest, and checks then
	}
	return o.checkOrdered(DefaultRetry)
}

// checkOrdered checks how long the retries of an ordered route take, with what it leaves
// open filled in from base.
func (o *routeOptions) checkOrdered(base RetryPolicy) error {
	if total := o.retry.over(base).total(); o.key != nil && total > orderedLimit {
		return fmt.Errorf("the retries of an ordered route take %v together, at most %v are possible: "+
			"the delivery stays in hand, and RabbitMQ ends the channel after 30 minutes", total, orderedLimit)
	}
	return nil
}

// Ordered has deliveries of one key handled one after another, in the order in which they
// arrive, retries included, while other keys go on. Retries of an ordered route wait in this
// process, at most a second each while the followers of resting keys use up half of the
// prefetch. When a delivery is parked the next one of its key goes on; see [HoldKey]. A nil
// key means the key that the publisher gave: [Key]. Deliveries without a key are not ordered.
func Ordered(key func(d *Delivery) string) RouteOption {
	if key == nil {
		key = func(d *Delivery) string { return d.Key() }
	}
	return func(o *routeOptions) { o.key = key }
}

// HoldKey has an ordered route park the later deliveries of a key too once one has been
// parked, so that nothing of the key is handled out of order. It ends when an operator
// replays the parked messages of the key, in their order, or when the process ends.
func HoldKey() RouteOption { return func(o *routeOptions) { o.hold = true } }
