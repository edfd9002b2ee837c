package parley

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"strings"
	"time"
)

// A copyPlace is a queue that a copy of a message is signed for. A copy that was signed for one place is not verified in
// the other: only a program with the secret can move a parked message back into its queue.
type copyPlace byte

const (
	placeQueue  copyPlace = 'q' // the consumer's queue, after a retry queue or a replay
	placeParked copyPlace = 'p' // its parked queue
)

// signatureForm is the prefix of a signature in the current form. Signatures in the former one are bare hexadecimal digits.
const signatureForm = "2:"

// sign returns the signature of m, a copy for the retry or parked queue of queue. A message whose headers cannot be encoded
// exactly gets none: no broker accepts it either.
func sign(secret []byte, m *Message, queue string, place copyPlace) string {
	sum, err := historySum(secret, m, queue, place)
	if err != nil {
		return ""
	}
	return signatureForm + hex.EncodeToString(sum)
}

// verified reports whether m was signed for this place with one of the secrets.
func verified(secrets [][]byte, m *Message, queue string, place copyPlace) bool {
	text, present := strings.CutPrefix(m.Header(headerSignature), signatureForm)
	given, err := hex.DecodeString(text)
	if err != nil || len(given) == 0 {
		return false
	}
	for _, secret := range secrets {
		if !present {
			if verifiedBefore(secret, m, queue, given) {
				return true
			}
			continue
		}
		if sum, err := historySum(secret, m, queue, place); err == nil && hmac.Equal(given, sum) {
			return true
		}
	}
	return false
}

// historySum covers the queue, the place, all properties that are preserved on the way, all headers but the broker's own, and the body.
func historySum(secret []byte, m *Message, queue string, place copyPlace) ([]byte, error) {
	c := *m
	// Address, expiration and user id are in headers; a broker may overwrite the timestamp (message interceptors).
	c.Exchange, c.RoutingKey, c.UserID, c.Expiration, c.Timestamp = "", "", "", 0, time.Time{}
	if c.ContentType == "" {
		c.ContentType = ContentType // as published
	}
	c.Headers = maps.Clone(m.Headers)
	maps.DeleteFunc(c.Headers, func(name string, _ any) bool {
		// A copy that returns has no reason, until it is parked as received.
		return unsignedHeader(name) || name == headerReason && place == placeQueue
	})
	envelope, err := EncodeEnvelope(&c)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("parley history 2"))
	mac.Write([]byte{byte(place)})
	mac.Write(appendText(nil, queue))
	mac.Write(binary.AppendUvarint(nil, uint64(len(envelope))))
	mac.Write(envelope)
	mac.Write(m.Body)
	return mac.Sum(nil), nil
}

// isBrokerHeader reports whether brokers write a header by themselves: on dead-lettering, on redelivery, or in a
// message interceptor.
func isBrokerHeader(name string) bool {
	switch name {
	case "x-death", "x-delivery-count", "x-acquired-count", "x-routed-by", "x-received-from", "x-shovelled", "timestamp_in_ms":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

// unsignedHeader reports whether a header may change after a copy was signed.
func unsignedHeader(name string) bool {
	switch name {
	case headerSignature, headerParkedID, headerParkedTurn, headerUnverified:
		return true
	}
	return isBrokerHeader(name)
}

// verifiedBefore checks a signature in parley's former form, so that messages which are in retry and parked
// queues during an upgrade are accepted.
func verifiedBefore(secret []byte, m *Message, queue string, given []byte) bool {
	if hmac.Equal(given, historySumBefore(secret, m, queue)) {
		return true
	}
	// A driver set an empty app id after the message was signed.
	c := *m
	c.AppID = ""
	if !hmac.Equal(given, historySumBefore(secret, &c, queue)) {
		return false
	}
	m.AppID = ""
	return true
}

func historySumBefore(secret []byte, m *Message, queue string) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{
		queue, m.ID, m.AppID, m.CorrelationID, string(m.Kind), m.ReplyTo,
		m.Header(headerExchange), m.Header(headerRoutingKey), m.Header(headerAttempts), m.Header(headerRetries), m.Header(headerReplays),
	} {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(part)))
		mac.Write(size[:])
		mac.Write([]byte(part))
	}
	mac.Write(m.Body)
	return mac.Sum(nil)
}
