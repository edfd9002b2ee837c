package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

// sentColumns are the expressions that identify a row of the outbox, o.
type sentColumns struct{ created, due, message string }

var ownColumns = sentColumns{"o.created_at", "o.due_at", "coalesce(o.properties->>'message_id', '')"}

// Delete implements parley.RelaySource.
func (e *engine[Tx]) Delete(ctx context.Context, sent []parley.SentRecord) (deleted int, remaining []parley.SentRecord, err error) {
	return e.deleteSent(ctx, ownColumns, sent)
}

// deleteSent deletes the rows that are unchanged since they were read. It skips rows that other transactions have locked: a relay
// that waits while it holds locks could make a user's transaction the victim of a deadlock.
func (e *engine[Tx]) deleteSent(ctx context.Context, is sentColumns, sent []parley.SentRecord) (deleted int, remaining []parley.SentRecord, err error) {
	if len(sent) == 0 {
		return 0, nil, nil
	}
	args := sentArgs(sent)
	remove := statement{query: e.removeSent(is), args: args, count: &deleted}
	left := statement{
		query: fmt.Sprintf("SELECT o.id, %s, %s, %s FROM %s o WHERE o.id = ANY($1::text::bigint[])", is.created, is.due, is.message, e.names.outbox),
		args:  args[:1],
		scan: func(row scanner) error {
			var s parley.SentRecord
			var due *time.Time
			err := row.Scan(&s.ID, &s.CreatedAt, &due, &s.MessageID)
			if due != nil {
				s.DueAt = *due
			}
			remaining = append(remaining, s)
			return err
		},
	}
	if err := e.run(ctx, useIndexes, remove, left); err != nil {
		return 0, nil, fmt.Errorf("delete sent records: %w", err)
	}
	return deleted, remaining, nil
}

func (e *engine[Tx]) removeSent(is sentColumns) string {
	return fmt.Sprintf(`WITH s AS MATERIALIZED (SELECT * FROM unnest($1::text::bigint[], $2::text::timestamptz[], $3::text::timestamptz[], $4::text::text[])
 AS s (id, created, due, message)), l AS MATERIALIZED (SELECT o.id FROM s JOIN %[1]s o ON o.id = s.id WHERE %[2]s = s.created
 AND %[3]s IS NOT DISTINCT FROM s.due AND (s.message = '' OR %[4]s IN (s.message, '')) FOR UPDATE OF o SKIP LOCKED)
 DELETE FROM %[1]s WHERE id IN (SELECT id FROM l)`, e.names.outbox, is.created, is.due, is.message)
}

// sentArgs returns arrays in text form: ids, times of creation, due times and message ids.
func sentArgs(sent []parley.SentRecord) []any {
	ids := make([]int64, len(sent))
	created, due, messages := make(textArray, len(sent)), make(textArray, len(sent)), make(textArray, len(sent))
	for i := range sent {
		s := &sent[i]
		ids[i] = s.ID
		created[i], messages[i] = timeText(s.CreatedAt), &s.MessageID
		if !s.DueAt.IsZero() {
			due[i] = timeText(s.DueAt)
		}
	}
	return []any{idList(ids), created.String(), due.String(), messages.String()}
}

func timeText(t time.Time) *string {
	text := t.UTC().Format("2006-01-02 15:04:05.999999Z07:00")
	return &text
}
