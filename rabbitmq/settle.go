package rabbitmq

import (
	"runtime"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

// acknowledger settles the delivery with one delivery tag.
type acknowledger struct {
	s   *subscription
	tag uint64
}

// Settle implements parley.Acknowledger. The settlement is sent a moment later, together
// with others.
func (a acknowledger) Settle(how parley.Settlement) error {
	s := a.s
	s.mu.Lock()
	if s.dead || s.stopping || s.ch.IsClosed() {
		s.mu.Unlock()
		if s.b.cfg.Hooks.StaleAck != nil {
			s.b.cfg.Hooks.StaleAck()
		}
		return parley.ErrStale
	}
	if how == parley.SettleRequeue {
		s.requeues = append(s.requeues, a.tag)
	} else {
		s.acks = append(s.acks, a.tag)
	}
	hold := s.holding && s.mayHold()
	s.mu.Unlock()
	if !hold {
		s.wake()
	}
	return nil
}

// ackDelay is the longest delay of an ack while other deliveries are in hand. One ack then settles several deliveries.
const ackDelay = time.Millisecond

// mayHold reports whether the acks may wait for further ones. A running handler ends soon, and
// the acks in hand keep no more than an eighth of the prefetch from new deliveries. mu is held.
func (s *subscription) mayHold() bool {
	return len(s.requeues) == 0 && !s.stopping && s.raises == 0 &&
		len(s.acks) < s.prefetch/8 && len(s.acks) < len(s.inHand)
}

func (s *subscription) wake() {
	select {
	case s.work <- struct{}{}:
	default: // settle has its wake-up already
	}
}

// settle sends the settlements to the broker. While it sends one batch or waits for running handlers, the next one
// accumulates: a busy consumer acknowledges many deliveries with one frame, and an
// idle one acknowledges at once. It ends with the subscription or its session.
func (s *subscription) settle() {
	defer close(s.ended)
	delay := time.NewTimer(s.b.ackDelay)
	defer delay.Stop()
	for {
		due := false
		select {
		case <-s.work:
		case <-delay.C:
			due = true
		case <-s.s.done:
			return
		}
		runtime.Gosched() // handlers that are about to finish go first: their acks join this batch
		s.mu.Lock()
		if !due && s.mayHold() {
			if !s.holding && len(s.acks) > 0 {
				s.holding = true
				delay.Reset(s.b.ackDelay)
			}
			s.mu.Unlock()
			continue
		}
		s.holding = false
		acks, requeues, stopping, raises := s.acks, s.requeues, s.stopping, s.raises
		s.acks, s.requeues, s.spare, s.raises = s.spare[:0], nil, nil, 0
		s.mu.Unlock()
		s.sent += len(acks) + len(requeues)
		if err := s.send(acks, requeues); err != nil {
			s.b.cfg.Logger.Debug("rabbitmq: session lost before settlements were sent, messages will be redelivered", "queue", s.queue, "err", err)
		}
		if stopping {
			return
		}
		s.raise(raises)
		s.mu.Lock()
		s.spare = acks
		s.mu.Unlock()
	}
}

// send sends the settlements. An ack with multiple=true covers all lower tags, so it is used only
// up to the tag below which all are settled.
func (s *subscription) send(acks, requeues []uint64) error {
	for _, tag := range requeues {
		if err := s.ch.Nack(tag, false, true); err != nil {
			return err
		}
	}
	slices.Sort(acks)
	before := s.low
	s.low = s.settledUpTo(before, acks, requeues)
	rest, _ := slices.BinarySearch(acks, s.low+1)
	if rest > 0 {
		if err := s.ch.Ack(acks[rest-1], s.low > before); err != nil {
			return err
		}
	}
	for _, tag := range acks[rest:] {
		if err := s.ch.Ack(tag, false); err != nil {
			return err
		}
	}
	return nil
}

// settledUpTo returns the tag up to which all are settled, and removes the settled tags from inHand. So inHand has only
// unsettled tags, which the prefetch limits: one slow delivery must not keep all
// later tags in memory.
func (s *subscription) settledUpTo(low uint64, acks, requeues []uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tags := range [...][]uint64{acks, requeues} {
		for _, tag := range tags {
			delete(s.inHand, tag)
		}
	}
	for low < s.last {
		if _, waits := s.inHand[low+1]; waits {
			break
		}
		low++
	}
	return low
}
