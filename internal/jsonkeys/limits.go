package jsonkeys

import (
	"cmp"
	"fmt"
)

const (
	defaultMaxBytes = 8 << 20
	defaultMaxDepth = 200
	defaultMaxKeys  = 100_000

	// maxNumber is how many characters a number may have. Python refuses to
	// read a longer integer, and no honest sender writes one.
	maxNumber = 4300
)

// Limits bound the work that a document from a stranger can cause. Fields that
// are zero or negative stand for the defaults.
type Limits struct {
	MaxBytes int // length of the document in bytes. Default: 8 MiB.
	MaxDepth int // objects and arrays inside each other. Default: 200.
	MaxKeys  int // keys of all objects together. Default: 100,000.

	// LoneSurrogates accepts half of a surrogate pair in a text, such as \ud800, as JSON readers of other languages do.
	// encoding/json decodes it as U+FFFD.
	LoneSurrogates bool
}

func (l Limits) orDefaults() Limits {
	return Limits{
		MaxBytes: cmp.Or(max(l.MaxBytes, 0), defaultMaxBytes),
		MaxDepth: cmp.Or(max(l.MaxDepth, 0), defaultMaxDepth),
		MaxKeys:  cmp.Or(max(l.MaxKeys, 0), defaultMaxKeys),

		LoneSurrogates: l.LoneSurrogates,
	}
}

// A LimitError says that a document goes beyond one of the Limits, or holds a
// number longer than 4300 characters.
type LimitError struct {
	What  string // "bytes", "depth", "keys" or "number"
	Limit int    // the highest allowed value
}

func (e *LimitError) Error() string {
	switch e.What {
	case "depth":
		return fmt.Sprintf("json nesting deeper than %d", e.Limit)
	case "keys":
		return fmt.Sprintf("json with more than %d keys", e.Limit)
	case "number":
		return fmt.Sprintf("json number longer than %d characters", e.Limit)
	default:
		return fmt.Sprintf("json longer than %d %s", e.Limit, e.What)
	}
}

// A SyntaxError says why a document is not JSON that may travel.
type SyntaxError struct {
	Offset  int64  // where in the document, in bytes from its start
	Problem string // what is wrong there, e.g. `key "na\\ud800": lone surrogate`
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid json at byte %d: %s", e.Offset, e.Problem)
}
