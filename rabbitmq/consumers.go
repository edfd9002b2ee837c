package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The suffix of the tag of a consumer that only separates acks from the close of the channel; see flush.
const barrierEnding = ".end"

// consume adds a consumer; its tag is that of the subscription with a suffix. RabbitMQ refuses it if the queue is a stream.
func (s *subscription) consume(ending string, prefetch int) (<-chan amqp.Delivery, error) {
	if err := s.ch.Qos(prefetch, 0, false); err != nil { // it applies to the consumers that are added after it
		return nil, err
	}
	return s.ch.Consume(s.queue, s.tagWith(ending), false, false, false, false, notAStream())
}

// tagWith returns the tag of a further consumer. AMQP allows 255 bytes.
func (s *subscription) tagWith(ending string) string {
	return s.tag[:min(len(s.tag), 255-len(ending))] + ending
}

// raise raises the prefetch if the first deliveries have been settled, and as often as RaisePrefetch has asked for it.
func (s *subscription) raise(times int) {
	if s.mayGrow() {
		rest := s.rest
		s.rest = 0
		s.replace(rest)
	}
	for range times {
		s.mu.Lock()
		prefetch := s.prefetch
		s.mu.Unlock()
		s.replace(prefetch)
	}
}

// mayGrow reports whether the prefetch of the start may be raised. As many deliveries as the first consumer may hold must have
// been settled, and as many in a row must not be redeliveries. Before that, processes might crash one after another on the same
// deliveries, and a quorum queue with a delivery limit drops a message that was delivered too often.
func (s *subscription) mayGrow() bool {
	if s.rest == 0 || s.sent < s.first {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh >= s.first
}

// RaisePrefetch implements parley.PrefetchRaiser. It returns 0 unless the queue is known to be shared: with a single active consumer
// the new consumer would get nothing.
func (s *subscription) RaisePrefetch() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shared || s.dead || s.stopping {
		return 0
	}
	s.raises++
	s.wake()
	return s.prefetch
}

// replace raises the prefetch: a new consumer replaces the newest one, because the prefetch of a consumer cannot be changed. The
// deliveries of the earlier consumers do not count for the new one. There is always one consumer, so an
// auto-delete queue is not deleted, and the queue counts one consumer for each subscription.
func (s *subscription) replace(prefetch int) {
	s.consumers++
	ending := fmt.Sprintf(".%d", s.consumers+1)
	deliveries, err := s.consume(ending, prefetch)
	if err != nil {
		// The channel has ended, and the subscription with it: Next returns the error.
		s.b.cfg.Logger.Debug("rabbitmq: raising the prefetch failed", "queue", s.queue, "err", err)
		return
	}
	s.mu.Lock()
	s.later, s.prefetch = append(s.later, deliveries), prefetch
	s.mu.Unlock()
	if err := s.ch.Cancel(s.tagWith(s.ending), false); err != nil {
		s.b.cfg.Logger.Debug("rabbitmq: ending the replaced consumer failed", "queue", s.queue, "err", err)
	}
	s.ending = ending
}

// follow makes Next read the deliveries of the next consumer, after those of the replaced one have ended. It returns false if
// there is no other consumer. If the channel has ended, the deliveries of all consumers end.
func (s *subscription) follow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.later) == 0 {
		return false
	}
	s.deliveries, s.later = s.later[0], s.later[1:]
	return true
}
