package rabbitmq

import (
	"runtime"
	"slices"

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
	s.mu.Unlock()
	s.wake()
	return nil
}

func (s *subscription) wake() {
	select {
	case s.work <- struct{}{}:
	default: // settle has its wake-up already
	}
}

// settle sends the settlements to the broker. While it sends one batch, the next one
// accumulates: a busy consumer acknowledges many deliveries with one frame, and an
// idle one acknowledges at once. It ends with the subscription or its session.
func (s *subscription) settle() {
	defer close(s.ended)
	for {
		select {
		case <-s.work:
		case <-s.s.done:
			return
		}
		runtime.Gosched() // handlers that are about to finish go first: their acks join this batch
		s.mu.Lock()
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
