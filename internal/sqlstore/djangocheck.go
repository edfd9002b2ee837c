package sqlstore

import (
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/parley-go/parley"
)

// djangoExchange is the length in characters of the table's column for the exchange.
const djangoExchange = 64

// CheckDjango returns an error for records that a table with these columns cannot hold. Stores call it before the first statement, so
// that a refused record leaves nothing of the others in the transaction.
func CheckDjango(has map[string]bool, records []parley.Record) error {
	for i := range records {
		r := &records[i]
		if utf8.RuneCountInString(r.Exchange) > djangoExchange {
			return &parley.InvalidError{What: "exchange", Value: r.Exchange, Problem: "has more than 64 characters, the limit of Django's table"}
		}
		if has["properties"] {
			continue
		}
		if err := checkWithoutProperties(r); err != nil {
			return err
		}
	}
	return nil
}

// notMissed are the headers that parley sets itself, and that a receiver can do without: docs/from-django.md says what it does then.
var notMissed = []string{parley.HeaderTraceParent, parley.HeaderTraceState, parley.HeaderDataKeys, "parley-service", "parley-method"}

// checkWithoutProperties returns an error for what a table before version 2.6.7 would lose, if the caller has asked for it.
func checkWithoutProperties(r *parley.Record) error {
	lost := func(what, value string) error {
		return &parley.InvalidError{What: what, Value: value, Problem: `would be lost: the table has no column "properties" ` +
			"(run Django's migrations of version 2.6.7 or later of the Python library)"}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if !slices.Contains(notMissed, name) {
			return lost("header", name)
		}
	}
	switch {
	case r.ReplyTo != "":
		return lost("reply-to", r.ReplyTo)
	case r.ContentType != "" && r.ContentType != parley.ContentType:
		return lost("content type", r.ContentType)
	case r.ContentEncoding != "":
		return lost("content encoding", r.ContentEncoding)
	case r.Priority != 0:
		return lost("priority", strconv.Itoa(int(r.Priority)))
	case r.Expiration != 0:
		return lost("expiration", r.Expiration.String())
	case r.Kind != "" && r.Kind != kindOf(r.RoutingKey, parley.FinishBody(r.Kind, 1, r.Body)):
		return lost("kind", string(r.Kind))
	}
	return nil
}
