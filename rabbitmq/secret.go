package rabbitmq

import (
	"crypto/hmac"
	"crypto/sha256"
)

// RetrySecret implements parley.SecretKeeper: it is derived from the login, so that all
// consumers of one user have the same and nobody without the password has it.
func (b *Broker) RetrySecret() []byte {
	login := b.addresses[0]
	mac := hmac.New(sha256.New, []byte(login.password))
	mac.Write([]byte("parley retry history\x00" + login.user + "\x00" + login.vhost))
	return mac.Sum(nil)
}
