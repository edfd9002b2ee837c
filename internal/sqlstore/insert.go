package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// One statement contains at most this many records, with 7 parameters each, or bytes of bodies: SQLite
// allows 32,766 parameters, and MySQL's packets may be limited to 16 MB.
const (
	insertRows  = 4000
	insertBytes = 4 << 20
)

// Insert writes the records within tx, with one statement for up to 4,000 records or 4 MB
// (and one for the tags of scheduled ones), and sets their ids; see [parley.OutboxStore].
// A record with UnlessTags is written by itself.
func (e *Engine[T]) Insert(ctx context.Context, tx T, records []parley.Record) error {
	for len(records) > 0 {
		n := batchLen(records)
		var err error
		if n == 0 {
			n = 1
			err = e.insertUnless(ctx, tx, &records[0])
		} else {
			err = e.insert(ctx, tx, records[:n])
		}
		if err != nil {
			return missingTables(err)
		}
		records = records[n:]
	}
	return nil
}

// batchLen returns how many of the first records fit into one statement, or 0 if the first
// one has a condition.
func batchLen(records []parley.Record) int {
	size, n := 0, 0
	for n < len(records) && n < insertRows && len(records[n].UnlessTags) == 0 {
		size += len(records[n].Body)
		if n > 0 && size > insertBytes {
			break
		}
		n++
	}
	return n
}

func (e *Engine[T]) insert(ctx context.Context, tx Tx, records []parley.Record) error {
	var q strings.Builder
	q.WriteString("INSERT INTO parley_outbox (created_at, exchange, routing_key, kind, body, due_at, tags, properties) VALUES ")
	group := "(" + e.dialect.Now + ",?,?,?,?,?,?,?)"
	args := make([]any, 0, 7*len(records))
	for i := range records {
		row, err := e.rowArgs(&records[i])
		if err != nil {
			return err
		}
		if i > 0 {
			q.WriteByte(',')
		}
		q.WriteString(group)
		args = append(args, row...)
	}
	ids := make([]int64, len(records))
	if err := e.dialect.Insert(ctx, tx, q.String(), args, ids); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	for i := range records {
		records[i].ID = ids[i]
	}
	return insertTags(ctx, tx, records)
}

func (e *Engine[T]) rowArgs(r *parley.Record) ([]any, error) {
	props, err := EncodeProperties(&r.Message)
	if err != nil {
		return nil, err
	}
	tags, err := EncodeTags(r.Tags)
	var due any
	if !r.DueAt.IsZero() {
		if err := checkTime(r.DueAt); err != nil {
			return nil, err
		}
		due = e.dialect.Time(r.DueAt)
	}
	return []any{r.Exchange, r.RoutingKey, string(r.Kind), string(r.Body), due, tags, props}, err
}

// checkTime returns an error for times that a column cannot hold. Without STRICT mode MySQL would store 0000-00-00, which is due at once.
func checkTime(t time.Time) error {
	if year := t.UTC().Year(); year < 1 || year > 9999 {
		return &parley.InvalidError{What: "due time", Value: t.String(), Problem: "is outside of the years 1 to 9999"}
	}
	return nil
}

// insertUnless inserts r unless a matching record is pending. Callers with the same address
// and tags wait for each other.
func (e *Engine[T]) insertUnless(ctx context.Context, tx Tx, r *parley.Record) error {
	s := parley.Selection{Exchange: r.Exchange, RoutingKey: r.RoutingKey, Tags: r.UnlessTags}
	if err := e.dialect.BeforeChange(ctx, tx); err != nil {
		return err
	}
	if err := e.dialect.BeforeUnless(ctx, tx, setDigest(s)); err != nil {
		return fmt.Errorf("lock tags: %w", err)
	}
	pending, _, err := e.find(ctx, tx, s)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		r.ID = 0
		return nil
	}
	one := []parley.Record{*r}
	err = e.insert(ctx, tx, one)
	r.ID = one[0].ID
	return err
}
