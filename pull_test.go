package parley_test

import (
	"testing"

	"github.com/parley-go/parley"
)

// A wrapped broker hides its QueuePuller.
func TestAVisitWorksWithABrokerThatHasSubscriptionsOnly(t *testing.T) {
	b := struct {
		parley.Broker
		parley.SecretKeeper
	}{parkedBroker(t, 5), nil}
	b.SecretKeeper = b.Broker.(parley.SecretKeeper)
	for range 3 {
		wantParked(t, b, "through subscriptions", "0", "1", "2", "3", "4")
	}
}
