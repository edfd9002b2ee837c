package parley

import (
	"errors"
	"time"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// ExpirySkew is the allowed difference between the clocks of sender and receiver: a command or
// call counts as expired only this long after its time.
const ExpirySkew = time.Second

type expiry struct {
	in           time.Duration
	at           time.Time
	hasIn, hasAt bool
}

func (e expiry) check(now time.Time) error {
	switch {
	case !e.hasIn && !e.hasAt:
		return nil
	case e.hasIn && e.hasAt:
		return &InvalidError{What: "expiry", Problem: "use WithExpiresIn or WithExpiresAt, not both"}
	case e.hasIn && e.in <= 0:
		return &InvalidError{What: "WithExpiresIn", Value: e.in.String(), Problem: "must be positive"}
	case e.hasAt && checkTime("WithExpiresAt", e.at) != nil:
		return checkTime("WithExpiresAt", e.at)
	case e.hasAt && !e.at.After(now):
		return &InvalidError{What: "WithExpiresAt", Value: formatMillis(e.at), Problem: "must be in the future"}
	}
	return nil
}

// time returns when the message expires; zero means never.
func (e expiry) time(now time.Time) time.Time {
	if e.hasIn {
		return now.Add(e.in)
	}
	return e.at
}

// ErrExpired means that a command or call was received after its expiry; it was not handled.
var ErrExpired = errors.New("expired")

// ExpiryOf returns when a stored command or call expires, as stated in its body. The zero time means never: also for
// events, and for bodies that are not those of a command or call. A consumer does not handle an expired message.
func ExpiryOf(m *Message) time.Time {
	if m.Kind == KindEvent || m.Kind == KindReply {
		return time.Time{}
	}
	var meta metaFields
	err := jsonkeys.Members(m.Body, limits, func(key string, value []byte) (err error) {
		if memberName(key) == "meta" {
			meta, err = readMeta(value)
		}
		return err
	})
	if err != nil {
		return time.Time{}
	}
	return meta.expires
}

func expired(at, now time.Time) bool {
	return !at.IsZero() && now.After(at.Add(ExpirySkew))
}
