package parley

import (
	"context"
	"slices"
	"time"
)

// A claimedBatch is a batch that separates records published before from the others.
type claimedBatch struct {
	Batch
	size   int      // of the batch
	unsent []Record // to be published
	again  []int64  // confirmed before, but still in the table: deleted without being published again
}

// claimUnsent claims records that this relay has not published yet.
func (r *Relay) claimUnsent(ctx, hard context.Context) (claimedBatch, error) {
	for {
		b, err := r.claim(ctx)
		if err != nil {
			return claimedBatch{}, err
		}
		held := r.sortOutSent(b)
		if len(held.unsent) > 0 || len(held.again) == 0 {
			return held, nil
		}
		if err := r.settle(hard, b, held.again, nil); err != nil {
			_ = b.Release(hard) // on an error the database releases them
			return claimedBatch{}, err
		}
		r.forget(held.again)
	}
}

func (r *Relay) sortOutSent(b Batch) claimedBatch {
	records := b.Records()
	held := claimedBatch{Batch: b, size: len(records), unsent: records}
	if len(r.confirmedUndeleted) == 0 {
		return held
	}
	sent := make(map[int64]SentRecord, len(r.confirmedUndeleted))
	for _, s := range r.confirmedUndeleted {
		sent[s.ID] = s
	}
	held.unsent = nil
	for i := range records {
		if s, ok := sent[records[i].ID]; ok && s.Unchanged(records[i].Sent()) {
			held.again = append(held.again, s.ID)
		} else {
			held.unsent = append(held.unsent, records[i])
		}
	}
	return held
}

// remember notes records that are confirmed but not yet deleted.
func (r *Relay) remember(records []Record, ids []int64) {
	r.forget(ids) // an older record may have had the same id
	wanted := make(map[int64]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	for i := range records {
		if wanted[records[i].ID] {
			r.confirmedUndeleted = append(r.confirmedUndeleted, records[i].Sent())
		}
	}
}

func (r *Relay) forget(ids []int64) {
	if len(r.confirmedUndeleted) == 0 || len(ids) == 0 {
		return
	}
	gone := make(map[int64]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	r.confirmedUndeleted = slices.DeleteFunc(r.confirmedUndeleted, func(s SentRecord) bool { return gone[s.ID] })
}

// deleteReleased deletes, for the first time, records that were confirmed after their batch was released.
// Records that are missing were deleted by another process.
func (r *Relay) deleteReleased(ctx context.Context) error {
	missing, err := r.deleteConfirmed(ctx)
	if err == nil && missing > 0 {
		r.reportDeletedElsewhere(missing)
	}
	return err
}

// deleteUnsettled deletes records that were confirmed but could not be settled in the database. After an error
// no new batch is claimed: records would be published twice.
func (r *Relay) deleteUnsettled(ctx context.Context) error {
	_, err := r.deleteConfirmed(ctx) // an earlier attempt may have deleted some
	return err
}

// deleteConfirmed deletes confirmed records. Those that another transaction has locked stay in r.confirmedUndeleted.
func (r *Relay) deleteConfirmed(ctx context.Context) (missing int, err error) {
	if len(r.confirmedUndeleted) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	deleted, remaining, err := r.source.Delete(ctx, r.confirmedUndeleted)
	if err != nil {
		return 0, err
	}
	missing = len(r.confirmedUndeleted) - deleted - len(remaining)
	found := make(map[int64]SentRecord, len(remaining))
	for _, s := range remaining {
		found[s.ID] = s
	}
	var locked, moved, taken []SentRecord
	for _, s := range r.confirmedUndeleted {
		is, ok := found[s.ID]
		switch {
		case !ok:
			continue
		case s.Unchanged(is):
			locked = append(locked, s)
			continue
		case s.SameRecord(is):
			moved = append(moved, s)
		default:
			taken = append(taken, s)
		}
		if r.cfg.Hooks.Kept != nil {
			r.cfg.Hooks.Kept(s, is)
		}
	}
	r.confirmedUndeleted = locked
	r.reportKept(moved, taken)
	return missing, nil
}

func (r *Relay) reportKept(moved, taken []SentRecord) {
	if len(moved) > 0 {
		r.cfg.Logger.Warn("relay: records rescheduled while they were being published, "+
			"publishing them again when due", "records", len(moved), "record", moved[0].ID)
	}
	if len(taken) > 0 {
		r.cfg.Logger.Error("relay: published records not deleted, other records have their ids now "+
			"(was an older copy of the database restored?)", "records", len(taken), "record", taken[0].ID, "message_id", taken[0].MessageID)
	}
}

func (r *Relay) reportDeletedElsewhere(n int) {
	if r.cfg.Hooks.DeletedElsewhere != nil {
		r.cfg.Hooks.DeletedElsewhere(n)
	}
	r.cfg.Logger.Warn("relay: claimed records were deleted or changed by another process "+
		"(is a non-locking relay such as runpublisher using this table?)", "records", n)
}

// blockedSince is the time since when other sessions keep due records locked.
type blockedSince struct{ since, reported time.Time }

const (
	// blockedPatience is how long due records may be locked before the blocking sessions are reported.
	blockedPatience = time.Second
	// blockedInterval is how often these sessions are reported.
	blockedInterval = time.Minute
)

// nameBlockers reports the sessions that keep due records locked for longer than blockedPatience.
func (r *Relay) nameBlockers(ctx context.Context) {
	now := time.Now()
	if r.blocked.since.IsZero() {
		r.blocked.since = now
	}
	source, ok := r.source.(BlockerInspector)
	if !ok || now.Sub(r.blocked.since) < blockedPatience || !r.blocked.reported.IsZero() && now.Sub(r.blocked.reported) < blockedInterval {
		return
	}
	r.blocked.since = now
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	blockers, err := source.Blockers(ctx)
	if err != nil {
		r.blocked.reported = now
		r.cfg.Logger.Warn("relay: due records are locked by another session, finding it failed", "err", err)
		return
	}
	for _, b := range blockers {
		r.cfg.Logger.Warn("relay: due records are locked by another session, waiting for its transaction",
			"session", b.Session, "application_name", b.Application, "user", b.User, "open", b.Open.Round(100*time.Millisecond), "records", b.Records)
	}
	if len(blockers) == 0 {
		return // its transaction has ended meanwhile
	}
	r.blocked.reported = now
	if r.cfg.Hooks.Blocked != nil {
		r.cfg.Hooks.Blocked(blockers)
	}
}
