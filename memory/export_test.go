package memory

import "github.com/parley-go/parley"

// TryNext returns the next delivery of a subscription, or nil if there is none now.
func TryNext(s parley.Subscription) *parley.Delivery {
	if u, err := s.(*subscription).nextReady(); u != nil && err == nil {
		return u.delivery()
	}
	return nil
}
