package parley

import (
	"errors"
	"testing"
	"time"
)

type countingAcker []Settlement

func (a *countingAcker) Settle(s Settlement) error { *a = append(*a, s); return nil }

func TestADeliveryIsSettledOnceForAllItsAttempts(t *testing.T) {
	var acker countingAcker
	d := NewDelivery(Message{}, "q", false, &acker)
	again := d.failed(errors.New("failed"), time.Now())
	if d.Attempt != 1 || again.Attempt != 2 || d.History().Attempts != 0 || again.History().Attempts != 1 {
		t.Errorf("attempts %d and %d: the first delivery must stay as it was", d.Attempt, again.Attempt)
	}
	if err := again.Settle(SettleAck); err != nil {
		t.Error(err)
	}
	if err := d.Settle(SettleRequeue); !errors.Is(err, ErrSettled) {
		t.Errorf("the second settlement: %v, want ErrSettled", err)
	}
	if len(acker) != 1 || acker[0] != SettleAck {
		t.Errorf("the broker got %v, want one ack", acker)
	}
}
