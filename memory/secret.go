package memory

import "crypto/rand"

// RetrySecret implements parley.SecretKeeper. It lives as long as the broker, as its queues do.
func (b *Broker) RetrySecret() []byte { return b.secret }

func newSecret() []byte {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails since Go 1.24
	return secret
}
