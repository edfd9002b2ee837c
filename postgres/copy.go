package postgres

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/sqlstore"
)

// copyRows is the number of records from which COPY is faster than INSERT, which needs one round trip less.
const copyRows = 64

// copyIn writes records by COPY. COPY returns no ids, so copyIn takes them from the sequence first. It returns false, and
// writes nothing, if this role lacks USAGE on the sequence, or if row security forbids COPY.
func (e *engine[Tx]) copyIn(ctx context.Context, tx pgx.Tx, records []parley.Record) (ok bool, err error) {
	in, err := newCopyReader(records)
	if err != nil {
		return false, err
	}
	if ok, err = e.takeIDs(ctx, tx, records); !ok || err != nil {
		return false, err
	}
	q := "COPY " + e.names.outbox + " (id, exchange, routing_key, kind, body, due_at, tags, properties) FROM STDIN (FORMAT binary)"
	_, err = tx.Conn().PgConn().CopyFrom(ctx, in, q)
	return true, err
}

// takeIDs assigns the next ids to the records, in their order.
func (e *engine[Tx]) takeIDs(ctx context.Context, tx pgx.Tx, records []parley.Record) (ok bool, err error) {
	const q = `WITH s AS MATERIALIZED (SELECT pg_get_serial_sequence($1, 'id')::regclass AS seq)
SELECT nextval(seq) FROM s, generate_series(1, $2) WHERE has_sequence_privilege(seq, 'USAGE') AND NOT row_security_active($1::regclass)`
	n := 0
	err = pgxConn{tx}.query(ctx, q, func(row scanner) error {
		n++
		return row.Scan(&records[n-1].ID)
	}, e.names.outbox, len(records))
	return n == len(records), err
}

// A copyReader encodes records in the binary format of COPY while they are read. So only
// a small part of them is in memory twice.
type copyReader struct {
	records []parley.Record // to be written
	rows    []copyRow       // of all records
	rest    []byte          // encoded and not yet read
	buf     []byte
	ended   bool
}

// A copyRow holds the parts of a record that are encoded in advance: an error during COPY would abort the caller's transaction.
type copyRow struct{ tags, properties []byte }

const (
	copyHeader = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	copyPiece  = 64 << 10
)

func newCopyReader(records []parley.Record) (*copyReader, error) {
	r := &copyReader{records: records, rows: make([]copyRow, len(records)), buf: make([]byte, 0, copyPiece)}
	properties := make([]byte, 0, 160*len(records))
	for i := range records {
		start := len(properties)
		if err := checkDue(records[i].DueAt); err != nil {
			return nil, err
		}
		var err error
		if properties, err = sqlstore.AppendProperties(properties, &records[i].Message); err != nil {
			return nil, err
		}
		r.rows[i].properties = properties[start:len(properties):len(properties)]
		if len(records[i].Tags) > 0 {
			if r.rows[i].tags, err = json.Marshal(records[i].Tags); err != nil {
				return nil, fmt.Errorf("write tags: %w", err)
			}
		}
	}
	r.rest = []byte(copyHeader)
	return r, nil
}

// checkDue refuses years that a reader of the outbox cannot represent. The binary format would store them as other times:
// far years overflow the microseconds since 2000, and an event for the far future would be sent at once.
func checkDue(due time.Time) error {
	if year := due.UTC().Year(); !due.IsZero() && (year < 1 || year > 9999) {
		return &parley.InvalidError{What: "due time", Value: due.UTC().String(), Problem: "is not between the years 1 and 9999 (check for milliseconds used as seconds)"}
	}
	return nil
}

// Read implements io.Reader.
func (r *copyReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		r.fill()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fill encodes the next rows.
func (r *copyReader) fill() {
	b := r.buf[:0]
	for len(r.records) > 0 && len(b) < copyPiece/2 {
		b = appendCopyRow(b, &r.records[0], r.rows[0])
		r.records, r.rows = r.records[1:], r.rows[1:]
	}
	if len(r.records) == 0 {
		b = binary.BigEndian.AppendUint16(b, 0xffff) // the end
		r.ended = true
	}
	r.rest = b
}

func appendCopyRow(b []byte, r *parley.Record, row copyRow) []byte {
	b = binary.BigEndian.AppendUint16(b, 8) // columns
	b = appendCopyInt(b, r.ID)
	for _, text := range [...]string{r.Exchange, r.RoutingKey, string(r.Kind)} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(r.Body))), r.Body...)
	if r.DueAt.IsZero() {
		b = append(b, copyNull...)
	} else {
		b = appendCopyInt(b, r.DueAt.Round(time.Microsecond).UnixMicro()-postgresEpoch)
	}
	return appendCopyJSON(appendCopyJSON(b, row.tags), row.properties)
}

const (
	copyNull      = "\xff\xff\xff\xff"
	postgresEpoch = 946_684_800_000_000 // 2000-01-01 in Unix microseconds
)

func appendCopyInt(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, 8), uint64(n))
}

// appendCopyJSON appends a jsonb: a version and the text.
func appendCopyJSON(b, text []byte) []byte {
	if text == nil {
		return append(b, copyNull...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)+1))
	return append(append(b, 1), text...)
}
