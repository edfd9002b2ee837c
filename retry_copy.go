package parley

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Headers of a copy of a message in a retry queue, after its return from one, or in the parked queue. They
// are signed: a program that can publish to the default exchange must not choose the
// handler of a message, or erase its history.
const (
	headerExchange   = "parley-exchange"    // exchange that the message was published to
	headerRoutingKey = "parley-routing-key" // its routing key there
	headerAttempts   = "parley-attempts"
	headerRetries    = "parley-hops" // retry queues passed since the last replay
	headerReplays    = "parley-replays"
	headerBegun      = "parley-begun" // attempts begun without an outcome
	headerFirstError = "parley-first-error"
	headerLastError  = "parley-last-error"
	headerFirstTime  = "parley-first-failure"
	headerLastTime   = "parley-last-failure"
	headerReason     = "parley-parked-reason"
	headerAppID      = "parley-app-id"     // as received, possibly empty: drivers set an empty one
	headerExpiration = "parley-expiration" // in milliseconds: a copy must not expire
	headerUserID     = "parley-user-id"    // RabbitMQ refuses to publish with another user's
	headerCC         = "parley-cc"         // with a CC header RabbitMQ would route the copy to these queues too
	headerBCC        = "parley-bcc"
	headerSignature  = "parley-signature"

	// Not signed: they may change after the signature.
	headerParkedID   = "parley-parked-id"   // the same in all copies of one parked message
	headerParkedTurn = "parley-parked-turn" // number of this copy
	headerUnverified = "parley-unverified"  // the copy was parked as received: its signature, if any, is one for the queue
)

// A SecretKeeper is a broker with a secret for signing the retry history of messages. All
// consumers that log in as the same user share it.
type SecretKeeper interface {
	// RetrySecret returns at least 16 bytes, or nil if there is no password to derive a secret from.
	RetrySecret() []byte
}

// A History describes the earlier attempts of a message at its consumer.
type History struct {
	// Attempts counts the failed attempts, Replays how often an operator has
	// replayed the message.
	Attempts, Replays int
	// FirstError and LastError are shortened to 500 bytes.
	FirstError, LastError     string
	FirstFailure, LastFailure time.Time
	// Reason says why the message is parked, if it is.
	Reason string

	// Retries counts the retry delays used up since the last replay.
	Retries int

	begun int // attempts begun without an outcome, for a suspect that was moved aside
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

var errForged = errors.New("retry history not verified: it is not signed with this consumer's secret (another writer put the message there, " +
	"or the secret has changed: see ConsumerConfig.Secrets)")

// isRetryCopy reports whether d claims to be a retry copy of this package.
func isRetryCopy(d *Delivery) bool {
	_, ok := d.Headers[headerExchange]
	return ok && d.Exchange == ""
}

// restore gives a message that returns from a retry queue or the parked queue its original exchange, routing key and
// properties. So it is routed and handled as before.
func restore(d *Delivery, secrets [][]byte) error {
	if !isRetryCopy(d) {
		return nil
	}
	c := d.Message
	restoreProperties(&c)
	if !verified(secrets, &c, d.Queue, placeQueue) {
		return errForged
	}
	d.Message = c
	d.Exchange, d.RoutingKey = d.Header(headerExchange), d.Header(headerRoutingKey)
	d.history = readHistory(&d.Message)
	d.Attempt = d.history.Attempts + 1
	return nil
}

// restoreProperties sets the properties that a copy keeps in headers.
func restoreProperties(m *Message) {
	if appID, ok := m.Headers[headerAppID].(string); ok {
		m.AppID = appID
	}
	m.UserID = m.Header(headerUserID)
	m.Expiration = 0
	if ms, err := strconv.ParseInt(m.Header(headerExpiration), 10, 64); err == nil && ms > 0 && ms <= maxExpiration {
		m.Expiration = time.Duration(ms) * time.Millisecond
	}
}

// maxExpiration is the longest expiration in milliseconds: RabbitMQ accepts less than 2^32.
const maxExpiration = 1<<32 - 1

func readHistory(m *Message) History {
	number := func(name string) int {
		n, _ := strconv.Atoi(m.Header(name))
		return max(n, 0)
	}
	when := func(name string) time.Time {
		t, _ := parseTime(m.Header(name))
		return t
	}
	return History{
		Attempts: number(headerAttempts), Replays: number(headerReplays), Retries: number(headerRetries), begun: number(headerBegun),
		FirstError: m.Header(headerFirstError), LastError: m.Header(headerLastError),
		FirstFailure: when(headerFirstTime), LastFailure: when(headerLastTime),
		Reason: m.Header(headerReason),
	}
}

// retryCopy returns m, with all its properties, in the form published to target: a retry queue, the parked queue, or, for a
// replay, the queue origin itself. Only a replay expires: the other copies must outlive their delay.
func retryCopy(m Message, origin, target string, h History, secret []byte) Message {
	cleanHeaders(&m)
	noteProperties(&m)
	headers := m.Headers
	headers[headerExchange], headers[headerRoutingKey] = m.Exchange, m.RoutingKey
	headers[headerAttempts] = strconv.Itoa(h.Attempts)
	headers[headerRetries] = strconv.Itoa(h.Retries)
	headers[headerReplays] = strconv.Itoa(h.Replays)
	setText(headers, headerFirstError, h.FirstError)
	setText(headers, headerLastError, h.LastError)
	setText(headers, headerReason, h.Reason)
	delete(headers, headerBegun)
	if h.begun > 0 {
		headers[headerBegun] = strconv.Itoa(h.begun)
	}
	if h.Attempts > 0 {
		headers[headerFirstTime], headers[headerLastTime] = formatMillis(h.FirstFailure), formatMillis(h.LastFailure)
	}
	delete(headers, headerUnverified)
	place := placeQueue
	if target == ParkedQueue(origin) {
		place = placeParked
		markParked(headers)
	} else {
		delete(headers, headerParkedID)
		delete(headers, headerParkedTurn)
	}
	headers[headerSignature] = sign(secret, &m, origin, place)
	if target != origin {
		m.Expiration = 0
	}
	m.Exchange, m.RoutingKey, m.UserID = "", target, ""
	return m
}

// cleanHeaders clones the headers of m without CC and BCC, and without the broker's notes on dead-lettering. With CC or BCC RabbitMQ
// would route a copy to other queues too. With the notes it would treat the second retry as a cycle and drop the message.
func cleanHeaders(m *Message) {
	headers := maps.Clone(m.Headers)
	if headers == nil {
		headers = make(map[string]any, 16)
	}
	maps.DeleteFunc(headers, func(name string, _ any) bool { return isBrokerHeader(name) })
	for _, h := range [...]struct{ from, to string }{{"CC", headerCC}, {"BCC", headerBCC}} {
		if value, ok := headers[h.from]; ok {
			headers[h.to] = value
			delete(headers, h.from)
		}
	}
	m.Headers = headers
}

// noteProperties keeps in headers the properties that a copy cannot have.
func noteProperties(m *Message) {
	m.Headers[headerAppID] = m.AppID
	setText(m.Headers, headerUserID, m.UserID)
	delete(m.Headers, headerExpiration)
	if ms := m.Expiration.Milliseconds(); ms > 0 {
		m.Headers[headerExpiration] = strconv.FormatInt(ms, 10)
	}
}

// unverifiedCopy returns m, whose history is not verified, in the form published to the parked queue of queue. It is as received,
// with its signature, so that an operator who knows the former secret can verify it there.
func unverifiedCopy(m Message, queue string, cause error) Message {
	m = asItCame(m)
	markParked(m.Headers)
	m.Headers[headerReason], m.Headers[headerUnverified] = shorten(cause.Error(), 500), "true"
	m.RoutingKey = ParkedQueue(queue)
	return m
}

// asItCame returns a copy of m, whoever wrote it, for the default exchange. Signed parts do not change.
func asItCame(m Message) Message {
	cleanHeaders(&m)
	if _, ours := m.Headers[headerAppID]; !ours {
		noteProperties(&m)
	}
	if _, known := m.Headers[headerExchange]; !known && m.Exchange != "" {
		m.Headers[headerExchange], m.Headers[headerRoutingKey] = m.Exchange, m.RoutingKey // it was routed by a binding of another writer
	}
	m.Exchange, m.Expiration, m.UserID = "", 0, ""
	return m
}

// ownHeaders are the headers that a copy keeps when the others cannot be published with it.
var ownHeaders = [...]string{
	headerExchange, headerRoutingKey, headerAttempts, headerRetries, headerReplays, headerBegun, headerFirstError, headerLastError,
	headerFirstTime, headerLastTime, headerReason, headerAppID, headerExpiration, headerUserID, headerSignature,
	headerParkedID, headerParkedTurn, headerUnverified, headerService, headerMethod,
	HeaderKey, HeaderDataKeys, HeaderTraceParent, HeaderTraceState,
}

// ownHeadersOnly returns m without the headers of its sender. A broker may refuse them together with parley's
// headers, or they may exceed parley's own limits, and the message must still be parked.
func ownHeadersOnly(m Message, cause error) Message {
	own := make(map[string]any, len(ownHeaders))
	for _, name := range ownHeaders {
		if text, ok := m.Headers[name].(string); ok && len(text) <= 4096 {
			own[name] = text
		}
	}
	m.Headers = own
	m.SetHeader(headerReason, m.Header(headerReason)+"\nother headers left out: "+shorten(cause.Error(), 500))
	return m
}

// reducedCopy returns m, a copy for the parked queue of queue, with parley's headers only, signed anew.
func reducedCopy(m Message, cause error, queue string, secret []byte) Message {
	m = ownHeadersOnly(m, cause)
	if m.Header(headerUnverified) != "" {
		return m // not signed by parley before
	}
	m.SetHeader(headerSignature, sign(secret, &m, queue, placeParked))
	return m
}

func setText(headers map[string]any, name, text string) {
	delete(headers, name)
	if text != "" {
		headers[name] = text
	}
}
