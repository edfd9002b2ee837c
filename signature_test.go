package parley

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

var testSecrets = [][]byte{[]byte("a secret of this very test"), []byte("the one that came before it")}

func TestASignatureCoversAllThatAHandlerSees(t *testing.T) {
	changes := map[string]func(d *Delivery){
		"body":               func(d *Delivery) { d.Body = []byte(`{"a": 2}`) },
		"exchange":           func(d *Delivery) { d.SetHeader(headerExchange, "y") },
		"routing key":        func(d *Delivery) { d.SetHeader(headerRoutingKey, "y") },
		"attempts":           func(d *Delivery) { d.SetHeader(headerAttempts, "0") },
		"message id":         func(d *Delivery) { d.ID = "n" },
		"kind":               func(d *Delivery) { d.Kind = KindCommand },
		"app id":             func(d *Delivery) { d.SetHeader(headerAppID, "other") },
		"no app id":          func(d *Delivery) { delete(d.Headers, headerAppID); d.AppID = "other" },
		"correlation id":     func(d *Delivery) { d.CorrelationID = "n" },
		"reply to":           func(d *Delivery) { d.ReplyTo = "n" },
		"content encoding":   func(d *Delivery) { d.ContentEncoding = "gzip" },
		"priority":           func(d *Delivery) { d.Priority = 1 },
		"expiration":         func(d *Delivery) { d.SetHeader(headerExpiration, "1") },
		"user id":            func(d *Delivery) { d.SetHeader(headerUserID, "admin") },
		"ordering key":       func(d *Delivery) { d.SetHeader(HeaderKey, "bob") },
		"application header": func(d *Delivery) { d.SetHeader("tenant", "bob") },
		"header's type":      func(d *Delivery) { d.SetHeader("n", "1") },
		"nested header":      func(d *Delivery) { d.Headers["nested"] = map[string]any{"list": []any{nil}} },
		"header left out":    func(d *Delivery) { delete(d.Headers, "tenant") },
		"header added":       func(d *Delivery) { d.SetHeader("admin", "yes") },
		"error text":         func(d *Delivery) { d.SetHeader(headerLastError, "y") },
		"time of failure":    func(d *Delivery) { d.SetHeader(headerLastTime, "2020-01-01T00:00:00.000Z") },
		"queue":              func(d *Delivery) { d.Queue = "other" },
		"form of signature": func(d *Delivery) {
			d.SetHeader(headerSignature, strings.TrimPrefix(d.Header(headerSignature), signatureForm))
		},
		"no signature": func(d *Delivery) { d.SetHeader(headerSignature, signatureForm) },
	}
	c := retryCopy(failedMessage(), "q", "q.retry.1s", failedHistory(), testSecrets[1])
	if err := restore(returned(c), testSecrets); err != nil {
		t.Fatalf("the copy as it is: %v", err)
	}
	for what, change := range changes {
		d := returned(c)
		change(d)
		if err := restore(d, testSecrets); !errors.Is(err, errForged) {
			t.Errorf("a copy with another %s is taken (%v)", what, err)
		}
	}
}

func TestAParkedCopyIsNotVerifiedInItsQueue(t *testing.T) {
	parked := retryCopy(failedMessage(), "q", "q.parked", failedHistory(), testSecrets[0])
	if err := restore(returned(parked), testSecrets); !errors.Is(err, errForged) {
		t.Errorf("a parked copy that another program moved into the queue is accepted (%v)", err)
	}
	replayed := retryCopy(failedMessage(), "q", "q", failedHistory(), testSecrets[0])
	if replayed.Expiration != time.Hour {
		t.Errorf("a replay expires in %v, want 1h", replayed.Expiration)
	}
	if err := restore(returned(replayed), testSecrets); err != nil {
		t.Errorf("a replay: %v", err)
	}
}

func TestSignaturesOfTheFormerFormAreVerified(t *testing.T) {
	for _, filledIn := range []string{"", "shop"} {
		m := failedMessage()
		m.Headers = map[string]any{"tenant": "alice", headerExchange: m.Exchange, headerRoutingKey: m.RoutingKey, headerAttempts: "1", headerRetries: "1", headerReplays: "0"}
		m.Headers[headerSignature] = hex.EncodeToString(historySumBefore(testSecrets[1], &m, "q"))
		m.Exchange, m.AppID = "", filledIn
		d := returned(m)
		if err := restore(d, testSecrets); err != nil || d.AppID != "" || d.Attempt != 2 {
			t.Errorf("with the app id %q of the connection: %v, app id %q, attempt %d", filledIn, err, d.AppID, d.Attempt)
		}
		d = returned(m)
		d.Body = []byte("other")
		if err := restore(d, testSecrets); !errors.Is(err, errForged) {
			t.Errorf("with another body: %v", err)
		}
	}
}
