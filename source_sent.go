package parley

import "time"

// A SentRecord identifies a record that the broker has confirmed, as the relay read it. The id alone
// is not enough: after a restore of an older database another record may have it.
type SentRecord struct {
	ID int64
	// MessageID is the message's id, "" if it has none.
	MessageID string
	CreatedAt time.Time
	// DueAt is zero for a record that was due at once.
	DueAt time.Time
}

// Sent returns the SentRecord that identifies r.
func (r *Record) Sent() SentRecord {
	return SentRecord{ID: r.ID, MessageID: r.Message.ID, CreatedAt: r.CreatedAt, DueAt: r.DueAt}
}

// SameRecord reports whether s and other are one record, possibly rescheduled.
// Times are compared in microseconds, as databases keep them.
func (s SentRecord) SameRecord(other SentRecord) bool {
	if s.MessageID != "" && other.MessageID != "" && s.MessageID != other.MessageID {
		return false
	}
	return s.ID == other.ID && s.CreatedAt.UnixMicro() == other.CreatedAt.UnixMicro()
}

// Unchanged reports whether s and other are one record with the same due time.
func (s SentRecord) Unchanged(other SentRecord) bool {
	return s.SameRecord(other) && s.DueAt.IsZero() == other.DueAt.IsZero() && s.DueAt.UnixMicro() == other.DueAt.UnixMicro()
}

// A Blocker is a database session that keeps due records locked, so that a relay must skip them.
type Blocker struct {
	// Session is the number by which an administrator can end the session: the process id on
	// PostgreSQL, the connection id on MySQL and MariaDB.
	Session int64
	// Application and User are those reported by the database; "" if it does not report them.
	Application, User string
	// Open is how long the session's transaction has been open; 0 if the database does not report it.
	Open time.Duration
	// Records counts the due records locked by the session, as far as the database reports them.
	Records int
}
