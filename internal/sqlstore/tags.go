package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parley-go/parley"
)

// tagDigest returns the index key of one tag of one contract: 16 bytes of SHA-256. So
// the index stays small, tags may have any length, and they are compared byte for
// byte whatever the database's collation is. The digest includes the address, because other contracts
// often have the same tags.
func tagDigest(exchange, routingKey, name, value string) []byte {
	h := sha256.New()
	for _, s := range []string{exchange, routingKey, name, value} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	return h.Sum(nil)[:16]
}

// setDigest returns the digest of a whole set of tags.
func setDigest(s parley.Selection) []byte {
	h := sha256.New()
	for _, d := range tagDigests(s) {
		h.Write(d)
	}
	return h.Sum(nil)[:16]
}

// tagDigests returns the digests of all tags, in the order of the tags' names.
func tagDigests(s parley.Selection) [][]byte {
	out := make([][]byte, 0, len(s.Tags))
	for _, name := range slices.Sorted(maps.Keys(s.Tags)) {
		out = append(out, tagDigest(s.Exchange, s.RoutingKey, name, s.Tags[name]))
	}
	return out
}

const tagRows = 5000 // in one statement: 2 parameters each

// insertTags indexes the tags of new records.
func insertTags(ctx context.Context, tx Tx, records []parley.Record) error {
	var args []any
	flush := func() error {
		if len(args) == 0 {
			return nil
		}
		q := "INSERT INTO parley_outbox_tags (digest, record_id) VALUES " + strings.TrimSuffix(strings.Repeat("(?,?),", len(args)/2), ",")
		_, err := tx.ExecContext(ctx, q, args...)
		args = args[:0]
		if err != nil {
			return fmt.Errorf("insert tags: %w", err)
		}
		return nil
	}
	for i := range records {
		r := &records[i]
		if r.DueAt.IsZero() {
			continue // only scheduled records can be cancelled
		}
		for _, d := range tagDigests(parley.Selection{Exchange: r.Exchange, RoutingKey: r.RoutingKey, Tags: r.Tags}) {
			args = append(args, d, r.ID)
		}
		if len(args) >= 2*tagRows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// tagged returns the tables and the condition for the records with all tags of s:
// t0.record_id is the id, o the outbox's row or nulls.
func (e *Engine[T]) tagged(ctx context.Context, tx Tx, s parley.Selection, outboxJoin string) (from, where string, args []any, err error) {
	digests := tagDigests(s)
	if e.dialect.Probe && len(digests) > 1 {
		if digests, err = rarestFirst(ctx, tx, digests); err != nil {
			return "", "", nil, err
		}
	}
	var b strings.Builder
	b.WriteString("parley_outbox_tags t0")
	for i, d := range digests[1:] {
		fmt.Fprintf(&b, " %s parley_outbox_tags t%d ON t%[2]d.digest = ? AND t%[2]d.record_id = t0.record_id", e.dialect.Join, i+1)
		args = append(args, d)
	}
	b.WriteString(" " + outboxJoin + " parley_outbox o ON o.id = t0.record_id")
	return b.String(), "t0.digest = ?", append(args, digests[0]), nil
}

// probeLimit is the number of records from which a tag counts as common.
const probeLimit = 100

// rarestFirst puts the tag with the fewest records first: a cancellation by person and
// kind must not scan all records of that kind.
func rarestFirst(ctx context.Context, tx Tx, digests [][]byte) ([][]byte, error) {
	type counted struct {
		digest []byte
		n      int
	}
	all := make([]counted, len(digests))
	for i, d := range digests {
		all[i].digest = d
		row := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM parley_outbox_tags WHERE digest = ? LIMIT %d) c", probeLimit), d)
		if err := row.Scan(&all[i].n); err != nil {
			return nil, fmt.Errorf("count records with a tag: %w", err)
		}
	}
	slices.SortStableFunc(all, func(a, b counted) int { return a.n - b.n })
	out := make([][]byte, len(all))
	for i, c := range all {
		out[i] = c.digest
	}
	return out, nil
}

// A match is a scheduled record that matches a selection.
type match struct {
	id   int64
	held bool // by a relay, without a row lock
}

// find locks and returns the matching scheduled records. stale are the ids of deleted records whose tags
// still exist.
func (e *Engine[T]) find(ctx context.Context, tx Tx, s parley.Selection) (found []match, stale []int64, err error) {
	d := &e.dialect
	var q string
	var args []any
	if s.ID > 0 {
		q = "SELECT o.id, 1, " + d.Held("o.id") + " FROM " + d.ByID + " WHERE o.id = ? AND o.due_at IS NOT NULL" + d.Lock
		args = []any{s.ID}
	} else if len(s.Tags) == 0 {
		q = "SELECT o.id, 1, " + d.Held("o.id") + " FROM " + d.ByDue + " WHERE o.due_at IS NOT NULL AND " +
			d.Exact("o.exchange") + " = ? AND " + d.Exact("o.routing_key") + " = ?" + d.Lock
		args = []any{s.Exchange, s.RoutingKey}
	} else {
		var from, where string
		if from, where, args, err = e.tagged(ctx, tx, s, "LEFT JOIN"); err != nil {
			return nil, nil, err
		}
		q = "SELECT t0.record_id, o.due_at IS NOT NULL, " + d.Held("t0.record_id") + " FROM " + from + " WHERE " + where + d.Lock
	}
	err = Each(ctx, tx, q, args, func(rows *sql.Rows) error {
		var m match
		var scheduled bool
		if err := rows.Scan(&m.id, &scheduled, &m.held); err != nil {
			return err
		}
		if scheduled {
			found = append(found, m)
		} else {
			stale = append(stale, m.id)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("find scheduled records: %w", err)
	}
	return found, stale, nil
}
