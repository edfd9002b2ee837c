package parley

// A RouteOption is a choice for one route.
type RouteOption func(*routeOptions)

type routeOptions struct {
	key func(*Delivery) string
}

func (o *routeOptions) check() error { return nil }

// Ordered has deliveries of one key handled one after another, in the order in which
// they arrive, while other keys go on. A nil key means the key that the publisher gave: [Key].
// Deliveries without a key are not ordered.
func Ordered(key func(d *Delivery) string) RouteOption {
	if key == nil {
		key = func(d *Delivery) string { return d.Key() }
	}
	return func(o *routeOptions) { o.key = key }
}
