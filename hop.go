package parley

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Headers of a message on its way through the delay queues and in the parked queue. They
// are signed: somebody who can write to the default exchange must not choose the
// handler of a message, or wash off its history.
const (
	headerExchange   = "parley-exchange"    // where the message was published to
	headerRoutingKey = "parley-routing-key" // and its key
	headerAttempts   = "parley-attempts"
	headerHops       = "parley-hops" // delay queues passed since the last replay
	headerReplays    = "parley-replays"
	headerFirstError = "parley-first-error"
	headerLastError  = "parley-last-error"
	headerFirstTime  = "parley-first-failure"
	headerLastTime   = "parley-last-failure"
	headerReason     = "parley-parked-reason"
	headerSignature  = "parley-signature"
)

// A SecretKeeper is a broker that has a secret for signing the retry history of messages, shared
// by all consumers that log in as the same user.
type SecretKeeper interface {
	// RetrySecret returns at least 16 bytes.
	RetrySecret() []byte
}

// A History tells how a message has fared with its consumer.
type History struct {
	// Attempts counts the failed attempts, Replays how often an operator has given
	// the message back to its queue.
	Attempts, Replays int
	// FirstError and LastError are shortened to 500 bytes.
	FirstError, LastError     string
	FirstFailure, LastFailure time.Time
	// Reason says why the message is parked, if it is.
	Reason string

	hops int
}

// note adds a failed attempt.
func (h *History) note(err error, now time.Time) {
	text := strings.ToValidUTF8(shorten(err.Error(), 500), "�")
	if h.Attempts == 0 {
		h.FirstError, h.FirstFailure = text, now
	}
	h.Attempts++
	h.LastError, h.LastFailure = text, now
}

var errForged = errors.New("its retry history is not signed with this consumer's secret: " +
	"it was written by somebody else, or the secret has changed (see ConsumerConfig.Secrets)")

// isHop tells that d claims to come from a delay or parked queue.
func isHop(d *Delivery) bool {
	_, ok := d.Headers[headerExchange]
	return ok && d.Exchange == ""
}

// restore gives a message that has passed a delay queue its own exchange and routing
// key back, so that it is routed as before.
func restore(d *Delivery, secrets [][]byte) error {
	if !isHop(d) {
		return nil
	}
	if !signedBy(secrets, &d.Message, d.Queue) {
		return errForged
	}
	d.Exchange, d.RoutingKey = d.Header(headerExchange), d.Header(headerRoutingKey)
	d.history = readHistory(&d.Message)
	d.Attempt = d.history.Attempts + 1
	return nil
}

func readHistory(m *Message) History {
	number := func(name string) int {
		n, _ := strconv.Atoi(m.Header(name))
		return n
	}
	when := func(name string) time.Time {
		t, _ := parseTime(m.Header(name))
		return t
	}
	return History{
		Attempts: number(headerAttempts), Replays: number(headerReplays), hops: number(headerHops),
		FirstError: m.Header(headerFirstError), LastError: m.Header(headerLastError),
		FirstFailure: when(headerFirstTime), LastFailure: when(headerLastTime),
		Reason: m.Header(headerReason),
	}
}

// hopMessage returns m, with all its properties, as it is published to a queue of ours. The
// broker's own notes on dead-lettering are left out: it would take the second
// round for a cycle and drop the message.
func hopMessage(m Message, origin, target string, h History, secret []byte) Message {
	headers := maps.Clone(m.Headers)
	if headers == nil {
		headers = make(map[string]any, 12)
	}
	for name := range headers {
		if strings.HasPrefix(name, "x-death") || strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-") || name == "x-delivery-count" {
			delete(headers, name)
		}
	}
	headers[headerExchange], headers[headerRoutingKey] = m.Exchange, m.RoutingKey
	headers[headerAttempts] = strconv.Itoa(h.Attempts)
	headers[headerHops] = strconv.Itoa(h.hops)
	headers[headerReplays] = strconv.Itoa(h.Replays)
	setText(headers, headerFirstError, h.FirstError)
	setText(headers, headerLastError, h.LastError)
	setText(headers, headerReason, h.Reason)
	if h.Attempts > 0 {
		headers[headerFirstTime], headers[headerLastTime] = formatMillis(h.FirstFailure), formatMillis(h.LastFailure)
	}
	m.Headers = headers
	headers[headerSignature] = hex.EncodeToString(sign(secret, &m, origin))
	m.Exchange, m.RoutingKey = "", target
	return m
}

// ownHeadersOnly returns m without what its sender put into its headers: what a broker once took
// may be refused with our headers on top, or by our own limits, and must be parked all the same.
func ownHeadersOnly(m Message, cause error) Message {
	own := make(map[string]any, 16)
	for _, name := range [...]string{
		headerExchange, headerRoutingKey, headerAttempts, headerHops, headerReplays, headerFirstError, headerLastError,
		headerFirstTime, headerLastTime, headerReason, headerSignature, headerService, headerMethod,
		HeaderKey, HeaderTraceParent, HeaderTraceState,
	} {
		if text, ok := m.Headers[name].(string); ok && len(text) <= 4096 {
			own[name] = text
		}
	}
	m.Headers = own
	m.SetHeader(headerReason, m.Header(headerReason)+"\nits other headers are left out: "+shorten(cause.Error(), 500))
	return m
}

func setText(headers map[string]any, name, text string) {
	delete(headers, name)
	if text != "" {
		headers[name] = text
	}
}

// signedBy tells that one of the secrets has signed m's history on queue.
func signedBy(secrets [][]byte, m *Message, queue string) bool {
	given, err := hex.DecodeString(m.Header(headerSignature))
	if err != nil {
		return false
	}
	for _, secret := range secrets {
		if hmac.Equal(given, sign(secret, m, queue)) {
			return true
		}
	}
	return false
}

// sign covers the queue, the message's identity and body, and what routes and counts it.
func sign(secret []byte, m *Message, queue string) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{
		queue, m.ID, m.AppID, m.CorrelationID, string(m.Kind), m.ReplyTo,
		m.Header(headerExchange), m.Header(headerRoutingKey), m.Header(headerAttempts), m.Header(headerHops), m.Header(headerReplays),
	} {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(part)))
		mac.Write(size[:])
		mac.Write([]byte(part))
	}
	mac.Write(m.Body)
	return mac.Sum(nil)
}
