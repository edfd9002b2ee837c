package rabbitmq

import (
	"crypto/hmac"
	"crypto/sha256"
)

// RetrySecret implements parley.SecretKeeper. The secret is derived from the login, so all
// consumers of one user share it, and it cannot be derived without the password.
// With a login by certificate there is no password, and it returns nil.
func (b *Broker) RetrySecret() []byte {
	if b.cfg.External {
		return nil
	}
	login := b.addresses[0]
	mac := hmac.New(sha256.New, []byte(login.password))
	mac.Write([]byte("parley retry history\x00" + login.user + "\x00" + login.vhost))
	return mac.Sum(nil)
}
