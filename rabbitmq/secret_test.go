package rabbitmq

import (
	"bytes"
	"testing"
)

// Processes of one service must verify each other's retry histories, whichever node each of them lists first.
func TestTheRetrySecretDependsOnTheLoginOnly(t *testing.T) {
	secret := func(urls ...string) []byte {
		b, err := New(&Config{URLs: urls})
		if err != nil {
			t.Fatal(err)
		}
		return b.RetrySecret()
	}
	want := secret("amqp://ann:word@a/shop", "amqp://ann:word@b/shop")
	if got := secret("amqp://ann:word@b:5673/shop"); !bytes.Equal(got, want) {
		t.Error("the secret depends on the host")
	}
	for what, url := range map[string]string{"password": "amqp://ann:other@a/shop", "user": "amqp://bob:word@a/shop", "virtual host": "amqp://ann:word@a/stock"} {
		if bytes.Equal(secret(url), want) {
			t.Errorf("logins with another %s have the same secret", what)
		}
	}
	if bytes.Contains(want, []byte("word")) {
		t.Error("the secret contains the password")
	}
}
