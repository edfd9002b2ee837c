package memory_test

import (
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

func TestConsumerOnMemory(t *testing.T) {
	parleytest.TestConsumer(t, func(*testing.T) parley.Broker { return memory.NewBroker(nil) })
}
