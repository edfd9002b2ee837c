package parley

import (
	"strings"
	"time"
)

const (
	// unroutableDoubt is how long a relay retries an unroutable record, if a queue took messages of its address before. A node of a
	// RabbitMQ cluster that returns from a partition reports bound exchanges as unroutable for some seconds (seen on RabbitMQ 4.0).
	unroutableDoubt = 10 * time.Second
	// doubtInterval is how often such a record is tried.
	doubtInterval = time.Second
	// knownAddresses bounds what a relay remembers, in addresses and in records that are retried.
	knownAddresses = 10_000
)

// address is where a record goes. Whether a queue takes it depends on nothing else, unless an exchange routes by headers.
type address struct{ exchange, routingKey string }

// routes remembers which addresses a queue is bound to, as the outcomes told. The zero value is ready. It belongs to one goroutine.
type routes struct {
	bound  map[address]*time.Time // when a queue last took a message
	doubts map[int64]time.Time    // by the id of a record that is retried: its first unroutable outcome
	warned map[address]time.Time  // when an unroutable record was last logged
}

// accepted notes that a queue took a message.
func (r *routes) accepted(rec *Record, now time.Time) {
	r.decided(rec)
	at := rec.address()
	if last := r.bound[at]; last != nil {
		*last = now
		return
	}
	last := new(time.Time)
	*last = now
	put(&r.bound, at.clone(), last)
}

// doubtful reports whether an unroutable outcome may be a passing state of the broker: a queue took messages of this address before, and
// the record has been unroutable for less than unroutableDoubt. After that the outcome is believed, also for later records
// if no queue took a message of this address meanwhile. The time is that of the record: on a headers exchange a queue may take
// other messages of its address all the time.
func (r *routes) doubtful(rec *Record, now time.Time) bool {
	at := rec.address()
	last := r.bound[at]
	since, retried := r.doubts[rec.ID]
	switch {
	case !retried && last == nil:
		return false
	case !retried:
		put(&r.doubts, rec.ID, now)
		return true
	case now.Sub(since) < unroutableDoubt:
		return true
	case last != nil && last.Before(since):
		delete(r.bound, at)
	}
	return false
}

// decided forgets the doubt about a record that is not retried any more.
func (r *routes) decided(rec *Record) { delete(r.doubts, rec.ID) }

// restart makes all doubts begin again: the broker was unreachable, so that records were not retried meanwhile.
func (r *routes) restart() { clear(r.doubts) }

// mayWarn reports whether the last warning about an address is over a minute old, and notes a new one.
func (r *routes) mayWarn(rec *Record, now time.Time) bool {
	at := rec.address()
	if now.Sub(r.warned[at]) <= time.Minute {
		return false
	}
	put(&r.warned, at.clone(), now)
	return true
}

func (r *Record) address() address { return address{r.Exchange, r.RoutingKey} }

// clone returns a copy: the strings may be parts of a batch's memory.
func (a address) clone() address {
	return address{strings.Clone(a.exchange), strings.Clone(a.routingKey)}
}

// put sets an entry of m. A full m is emptied first: routing keys can be without number.
func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	if _, known := (*m)[key]; !known && len(*m) >= knownAddresses {
		clear(*m)
	}
	(*m)[key] = value
}
