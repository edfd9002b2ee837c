package memory_test

import (
	"bytes"
	"testing"

	"github.com/parley-go/parley/memory"
)

func TestEachBrokerHasASecretOfItsOwnThatStaysTheSame(t *testing.T) {
	a, b := memory.NewBroker(nil), memory.NewBroker(nil)
	if first := a.RetrySecret(); len(first) < 32 || !bytes.Equal(first, a.RetrySecret()) {
		t.Errorf("the secret has %d bytes, or changes: want 32 constant ones", len(first))
	}
	if bytes.Equal(a.RetrySecret(), b.RetrySecret()) {
		t.Error("two brokers share a secret")
	}
}
