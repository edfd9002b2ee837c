package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

var _ parley.ActionLog = (*Store)(nil)

// An actionLog is the action log of a store, in the order of the ids.
type actionLog struct {
	last    int64
	entries []parley.Action
}

func (l *actionLog) find(id int64) *parley.Action {
	for i := range l.entries {
		if l.entries[i].ID == id {
			return &l.entries[i]
		}
	}
	return nil
}

// add writes an entry, or adds to an existing one; the mutex of the store is held.
func (l *actionLog) add(a parley.Action) int64 {
	a = a.Clean()
	if e := l.find(a.ID); e != nil {
		e.Changed, e.Cursor = e.Changed+a.Changed, max(e.Cursor, a.Cursor)
		if a.Before != nil {
			e.Before, e.After = bytes.Clone(a.Before), bytes.Clone(a.After)
		}
		return a.ID
	}
	l.last++
	a.ID, a.At, a.Before, a.After = l.last, time.Now().UTC(), bytes.Clone(a.Before), bytes.Clone(a.After)
	l.entries = append(l.entries, a)
	return a.ID
}

// operated logs a change of rows if an operator makes it; s.mu is held.
func (s *Store) operated(ctx context.Context, action, filter string, changed []int64) {
	a, ok := parley.NewAction(ctx, action, filter)
	if !ok || len(changed) == 0 {
		return
	}
	a.Changed, a.Cursor = int64(len(changed)), slices.Max(changed)
	s.actions.add(a)
}

// edited logs an edit if an operator makes it; s.mu is held.
func (s *Store) edited(ctx context.Context, action string, id int64, before, after []byte) {
	a, ok := parley.NewAction(ctx, action, parley.IDsText([]int64{id}))
	if !ok {
		return
	}
	a.Before, a.After, a.Changed, a.Cursor = before, after, 1, id
	s.actions.add(a)
}

// LogAction writes an entry; see [parley.ActionLog].
func (s *Store) LogAction(ctx context.Context, a parley.Action) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.ID = 0
	return s.actions.add(a), nil
}

// UpdateAction sets the state of an entry; see [parley.ActionLog].
func (s *Store) UpdateAction(ctx context.Context, a parley.Action) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.actions.find(a.ID); e != nil {
		a = a.Clean()
		e.State, e.UpTo, e.Total, e.Detail = a.State, a.UpTo, a.Total, a.Detail
	}
	return nil
}

// Actions returns entries, the newest first; see [parley.ActionLog].
func (s *Store) Actions(ctx context.Context, q parley.ActionQuery) ([]parley.Action, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []parley.Action
	for _, a := range slices.Backward(s.actions.entries) {
		if q.Before > 0 && a.ID >= q.Before || q.ID != 0 && a.ID != q.ID || q.Running && a.State != parley.ActionRunning {
			continue
		}
		if len(out) == q.Rows() {
			break
		}
		a.Before, a.After = bytes.Clone(a.Before), bytes.Clone(a.After)
		out = append(out, a)
	}
	return out, nil
}

// SweepActions deletes old entries; see [parley.ActionLog].
func (s *Store) SweepActions(ctx context.Context, age time.Duration, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, now := 0, time.Now()
	s.actions.entries = slices.DeleteFunc(s.actions.entries, func(a parley.Action) bool {
		old := n < limit && now.Sub(a.At) > age && a.State != parley.ActionRunning
		if old {
			n++
		}
		return old
	})
	return n, nil
}

// FailureGroups groups parked rows; see [parley.FailureGrouper].
func (f *Failures) FailureGroups(ctx context.Context, consumer string, limit int) ([]parley.FailureGroup, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	found := map[[2]string]*parley.FailureGroup{}
	for r := range f.order.after(0) {
		if r.State != parley.FailureParked || consumer != "" && r.Consumer != consumer {
			continue
		}
		key := [2]string{r.Consumer, r.Fingerprint}
		g := found[key]
		if g == nil {
			g = &parley.FailureGroup{Consumer: r.Consumer, Fingerprint: r.Fingerprint, FirstID: r.ID, FirstParked: r.ParkedAt}
			found[key] = g
		}
		g.Count = min(g.Count+1, parley.FailureStatsCap)
		g.LastID, g.LastParked, g.Exchange, g.RoutingKey = r.ID, r.ParkedAt, r.Message.Exchange, r.Message.RoutingKey
		if g.Error = r.History.LastError; g.Error == "" {
			g.Error = r.History.Reason
		}
	}
	var out []parley.FailureGroup
	for _, g := range found {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b parley.FailureGroup) int {
		return slices.Compare([]string{a.Consumer, a.Fingerprint}, []string{b.Consumer, b.Fingerprint})
	})
	return out[:min(len(out), limit)], nil
}

func failureIDs(rows []*failure) []int64 {
	out := make([]int64, len(rows))
	for i, r := range rows {
		out[i] = r.ID
	}
	return out
}

func parkedIDs(rows []parley.ParkedRecord) []int64 {
	out := make([]int64, len(rows))
	for i := range rows {
		out[i] = rows[i].ID
	}
	return out
}

// moveText is the filter of a move in the action log.
func moveText(from, to string) string { return fmt.Sprintf("from=%s to=%s", from, to) }
