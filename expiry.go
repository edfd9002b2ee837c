package parley

import (
	"errors"
	"time"
)

// ExpirySkew is how far the clocks of sender and receiver may differ: a command or
// call counts as expired only this long after its time.
const ExpirySkew = time.Second

// ExpiresIn makes a command or call expire d from now: a receiver that gets it later does not
// start it. d must be positive.
func ExpiresIn(d time.Duration) Option {
	return func(o *messageOptions) { o.expiry.in, o.expiry.hasIn = d, true }
}

// ExpiresAt makes a command or call expire at t, which must be in the future.
func ExpiresAt(t time.Time) Option {
	return func(o *messageOptions) { o.expiry.at, o.expiry.hasAt = t, true }
}

type expiry struct {
	in           time.Duration
	at           time.Time
	hasIn, hasAt bool
}

func (e expiry) check(v verb, now time.Time) error {
	switch {
	case !e.hasIn && !e.hasAt:
		return nil
	case v == verbPublish:
		return &InvalidError{What: "expiry", Problem: "events do not expire: it is for commands and calls"}
	case e.hasIn && e.hasAt:
		return &InvalidError{What: "expiry", Problem: "give ExpiresIn or ExpiresAt, not both"}
	case e.hasIn && e.in <= 0:
		return &InvalidError{What: "ExpiresIn", Value: e.in.String(), Problem: "must be positive"}
	case e.hasAt && !e.at.After(now):
		return &InvalidError{What: "ExpiresAt", Value: formatMillis(e.at), Problem: "must be in the future"}
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

// ErrExpired: a command or call reached its receiver after its time; it was not started.
var ErrExpired = errors.New("expired")

func expired(at, now time.Time) bool {
	return !at.IsZero() && now.After(at.Add(ExpirySkew))
}
