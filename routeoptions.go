package parley

import "fmt"

// A RouteOption is an option of one route.
type RouteOption func(*routeOptions)

type routeOptions struct {
	key   func(*Delivery) string
	hold  bool
	retry RetryPolicy

	rollBackExpired bool
	replyExchanges  []string
}

// checkOrdered checks the total time of the retries of an ordered route without a failure store, with the nil fields of its
// policy set from base.
func (o *routeOptions) checkOrdered(base RetryPolicy) error {
	if total := o.retry.over(base).total(); o.key != nil && total > unackedLimit {
		return fmt.Errorf("the retries of an ordered route take %v together, the limit without a failure store is %v: "+
			"the delivery stays unacked meanwhile, and RabbitMQ closes the channel after 30 minutes "+
			"(use a failure store, ConsumerConfig.Failures, or shorten the retries)", total, unackedLimit)
	}
	return nil
}

// Ordered makes a route handle the deliveries of one ordering key one after another, in the order of
// arrival, retries included. Other keys continue. Without a failure store, retries of an ordered route wait in this process
// and may take 20 minutes together. With one, they wait in its table, and later messages of the key wait behind them.
// In this process they wait at most a second each while deliveries behind waiting keys use up half of the
// prefetch. When a delivery is parked the next one of its key continues; see [HoldKey]. A nil
// key function means the publisher's key: [WithKey]. Deliveries without a key are not ordered.
func Ordered(key func(d *Delivery) string) RouteOption {
	if key == nil {
		key = func(d *Delivery) string { return d.Key() }
	}
	return func(o *routeOptions) { o.key = key }
}

// HoldKey makes an ordered route park the later deliveries of a key too, once one has been
// parked. So no message of the key is handled out of order. The hold ends when an operator
// replays the parked messages of the key, in their order. Without a failure store it also ends when the process ends.
func HoldKey() RouteOption { return func(o *routeOptions) { o.hold = true } }
