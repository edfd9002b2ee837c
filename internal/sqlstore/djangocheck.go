package sqlstore

import (
	"unicode/utf8"

	"github.com/parley-go/parley"
)

// djangoExchange is the length in characters of the table's column for the exchange.
const djangoExchange = 64

// CheckDjango returns an error for records that Django's table cannot hold. Stores call it before the first statement, so that a
// refused record leaves nothing of the others in the transaction.
func CheckDjango(records []parley.Record) error {
	for i := range records {
		if r := &records[i]; utf8.RuneCountInString(r.Exchange) > djangoExchange {
			return &parley.InvalidError{What: "exchange", Value: r.Exchange, Problem: "has more than 64 characters, the limit of Django's table"}
		}
	}
	return nil
}
