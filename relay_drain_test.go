package parley_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parley-go/parley"
)

func TestADrainThatLeavesRejectedRecordsIsAnErrorThatNamesTheirExchange(t *testing.T) {
	onDrain(t, parley.RelayConfig{BatchSize: 1}, func(s *drainStage) {
		s.insert("shop", "user", "user")
		s.broker.RejectNext(1) // that of "shop"
		n, err := s.relay.Drain(s.t.Context())
		if n != 2 || !errors.Is(err, parley.ErrRejected) || !strings.Contains(err.Error(), `"shop"`) {
			t.Errorf("moved %d records, error %v: want 2, and ErrRejected that names the exchange", n, err)
		}
		s.wantPending("shop")
	})
}

func TestADrainWaitsForAnAddressThatIsUnroutableForAMoment(t *testing.T) {
	onDrain(t, parley.RelayConfig{BatchSize: 1}, func(s *drainStage) {
		s.insert("shop", "shop", "user", "shop")
		s.batches = func(n int) {
			switch n {
			case 1:
				if err := s.broker.DeleteQueue(s.t.Context(), "shop"); err != nil {
					s.t.Error(err)
				}
			case 3:
				s.bind("shop")
			}
		}
		if n, err := s.relay.Drain(s.t.Context()); n != 4 || err != nil {
			t.Errorf("moved %d records (%v), want all 4", n, err)
		}
		s.wantPending()
	})
}
