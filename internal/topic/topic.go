// Package topic matches routing keys against the binding keys of topic exchanges
// (AMQP 0-9-1, 3.1.3.3), for the router and for the broker in the process.
package topic

import "strings"

// Words splits a routing key or a binding key at its dots. The empty one has no words, so that "#" takes it and
// "*" does not, as in RabbitMQ.
func Words(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, ".")
}

// Match reports whether a binding key takes a routing key, both given as their words.
func Match(pattern, key []string) bool {
	p, k := 0, 0
	hash, mark := -1, 0 // the last # and the first word that it has not taken
	for k < len(key) {
		switch {
		case p < len(pattern) && pattern[p] == "#":
			hash, mark = p, k
			p++
		case p < len(pattern) && (pattern[p] == "*" || pattern[p] == key[k]):
			p++
			k++
		case hash >= 0:
			// Stuck: the last # takes one more word. Earlier ones need not be tried
			// again, so that no binding key can make this exponential.
			mark++
			p, k = hash+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "#" {
		p++
	}
	return p == len(pattern)
}
