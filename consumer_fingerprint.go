package parley

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"time"
)

// The parts of an error text that differ between failures of one cause, in the order in which they are replaced.
var (
	quotedValue = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'|` + "`[^`]*`")
	mailAddress = regexp.MustCompile(`[\w.+-]+@[\w.-]+\w`)
	// A word with a digit is a number, an id, a UUID or a hexadecimal value.
	wordWithDigit = regexp.MustCompile(`[\pL_-]*\pN[\pL\pN_-]*`)
	// Decimal numbers, dates, times, durations and addresses become several placeholders in a row.
	placeholders = regexp.MustCompile(`\*(?:[.,:/+%-]*\*)+`)
)

const (
	fingerprintText = 500  // bytes of an error text, without its values, that count
	fingerprintRead = 4096 // bytes of an error text that are read
)

// Fingerprint groups failures of one cause: it is equal for failures with the same exchange, routing key and error text, except
// for the values in the text. Quoted values, numbers, ids, UUIDs, hexadecimal values, mail addresses, dates and
// durations do not count. Of what is left only the first 500 bytes do. It returns 32 hexadecimal digits, or "" for an empty text.
func Fingerprint(exchange, routingKey, errorText string) string {
	if errorText == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(exchange + "\x00" + routingKey + "\x00" + withoutValues(errorText)))
	return hex.EncodeToString(sum[:16])
}

// withoutValues returns an error text with * in place of the values in it.
func withoutValues(text string) string {
	text = text[:min(len(text), fingerprintRead)]
	for _, values := range [...]*regexp.Regexp{quotedValue, mailAddress, wordWithDigit, placeholders} {
		text = values.ReplaceAllString(text, "*")
	}
	return text[:min(len(text), fingerprintText)]
}

// fingerprint returns the fingerprint of a failed delivery, or "" without an error.
func fingerprint(d *Delivery, err error) string {
	if err == nil {
		return ""
	}
	return Fingerprint(d.Exchange, d.RoutingKey, err.Error())
}

// A FailureGroup describes the parked rows of a consumer with the same [Fingerprint].
type FailureGroup struct {
	Consumer, Fingerprint string
	// Exchange, RoutingKey and Error are those of the row with the largest id.
	Exchange, RoutingKey, Error string
	// Count is the number of rows, exact up to FailureStatsCap.
	Count int64
	// FirstID and LastID are the smallest and the largest id; FirstParked and LastParked are when these rows were parked.
	FirstID, LastID         int64
	FirstParked, LastParked time.Time
}

// A FailureGrouper is a [FailureOperator] that can group parked rows. Stores of drivers implement it.
type FailureGrouper interface {
	// FailureGroups returns the groups of the parked rows of a consumer, or of all consumers for "". It returns at most limit
	// groups, in the order of consumers and fingerprints. Rows without an error have the fingerprint "". It
	// reads an index only, and at most FailureStatsCap entries of each group.
	FailureGroups(ctx context.Context, consumer string, limit int) ([]FailureGroup, error)
}
