package memory

import "crypto/rand"

// RetrySecret implements parley.SecretKeeper. The secret exists as long as the broker, like its queues.
func (b *Broker) RetrySecret() []byte { return b.secret }

func newSecret() []byte {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails since Go 1.24
	return secret
}
