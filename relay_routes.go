package parley

import (
	"strings"
	"time"
)

const (
	// unroutableDoubt is how long a relay retries a record that became unroutable, if its address accepted messages before. A node of a
	// RabbitMQ cluster that returns from a partition reports bound exchanges as unroutable for some seconds (seen on RabbitMQ 4.0).
	unroutableDoubt = 10 * time.Second
	// doubtInterval is how often such a record is tried.
	doubtInterval = time.Second
	// knownAddresses bounds what a relay remembers.
	knownAddresses = 10_000
)

// address is where a record goes. Whether a queue takes it depends on nothing else, unless an exchange routes by headers.
type address struct{ exchange, routingKey string }

// routes remembers which addresses a queue is bound to, as the outcomes told. The zero value is ready. It belongs to one goroutine.
type routes struct {
	bound  map[address]time.Time // accepted before; the time is of the first unroutable record since, or zero
	warned map[address]time.Time // when an unroutable record was last logged
}

// accepted notes that a queue took a message.
func (r *routes) accepted(exchange, routingKey string) {
	at := address{exchange, routingKey}
	if since, known := r.bound[at]; known && since.IsZero() {
		return
	}
	r.note(&r.bound, at, time.Time{})
}

// doubtful reports whether an unroutable outcome may be a passing state of the broker: a queue took messages of this address before, and
// the address has been unroutable for less than unroutableDoubt. After that the outcome is believed.
func (r *routes) doubtful(exchange, routingKey string) bool {
	at := address{exchange, routingKey}
	since, known := r.bound[at]
	switch {
	case !known:
		return false
	case since.IsZero():
		r.note(&r.bound, at, time.Now())
		return true
	case time.Since(since) < unroutableDoubt:
		return true
	}
	delete(r.bound, at)
	return false
}

// mayWarn reports whether the last warning about an address is over a minute old, and notes a new one.
func (r *routes) mayWarn(exchange, routingKey string) bool {
	at := address{exchange, routingKey}
	if time.Since(r.warned[at]) <= time.Minute {
		return false
	}
	r.note(&r.warned, at, time.Now())
	return true
}

// note sets an entry of m. A full m is emptied first: routing keys can be without number.
func (r *routes) note(m *map[address]time.Time, at address, value time.Time) {
	if *m == nil {
		*m = map[address]time.Time{}
	}
	if _, known := (*m)[at]; !known && len(*m) >= knownAddresses {
		clear(*m)
	}
	// The strings may be parts of a batch's memory.
	(*m)[address{strings.Clone(at.exchange), strings.Clone(at.routingKey)}] = value
}
