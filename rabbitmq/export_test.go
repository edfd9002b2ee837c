package rabbitmq

// Unchecked makes the broker decide about messages with a wrong CC header.
func Unchecked(b *Broker) { b.unchecked = true }

// FirstNode returns the number of the node that is dialled first.
func FirstNode(b *Broker) int { return b.publish.next }
