package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-go/parley"
)

var _ parley.ControlStore = (*Store)(nil)

// pauses are the pauses of a store, in the order of their ids.
type pauses struct {
	last int64
	rows []parley.Pause
}

// find returns the index of the pause of what p names, or -1. It deletes pauses that have ended.
func (l *pauses) find(p *parley.Pause) int {
	now := time.Now()
	l.rows = slices.DeleteFunc(l.rows, func(o parley.Pause) bool { return !o.Until.After(now) })
	kind, name := p.Scope()
	return slices.IndexFunc(l.rows, func(o parley.Pause) bool {
		k, n := o.Scope()
		return o.Part == p.Part && k == kind && n == name
	})
}

// SetPause pauses a part of a service; see [parley.ControlStore].
func (s *Store) SetPause(ctx context.Context, p parley.Pause, d time.Duration) (parley.Pause, error) {
	if err := parley.CheckPause(&p, d); err != nil {
		return parley.Pause{}, err
	}
	if err := ctx.Err(); err != nil {
		return parley.Pause{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, logs := parley.NewAction(ctx, parley.ActionPause, p.String()+" for "+d.String())
	entry.Changed, entry.Reason = 1, p.Reason
	entry = entry.Clean()
	i := s.pauses.find(&p)
	if i < 0 {
		s.pauses.last++
		p.ID, p.CreatedAt = s.pauses.last, time.Now().UTC()
		i, s.pauses.rows = len(s.pauses.rows), append(s.pauses.rows, p)
	}
	o := &s.pauses.rows[i]
	o.Until, o.By, o.Host, o.Reason = time.Now().UTC().Add(d), entry.By, entry.Host, entry.Reason
	if logs {
		s.actions.add(entry)
	}
	out := *o
	out.Left = d
	return out, nil
}

// EndPause ends a pause; see [parley.ControlStore].
func (s *Store) EndPause(ctx context.Context, p parley.Pause) (parley.Pause, error) {
	if err := p.Check(); err != nil {
		return parley.Pause{}, err
	}
	if err := ctx.Err(); err != nil {
		return parley.Pause{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.pauses.find(&p)
	if i < 0 {
		return parley.Pause{}, fmt.Errorf("memory: resume %s: %w", &p, parley.ErrNoPause)
	}
	out := s.pauses.rows[i]
	out.Left = time.Until(out.Until)
	s.pauses.rows = slices.Delete(s.pauses.rows, i, i+1)
	if entry, ok := parley.NewAction(ctx, parley.ActionResume, p.String()); ok {
		entry.Changed = 1
		s.actions.add(entry)
	}
	return out, nil
}

// Pauses returns the pauses that have not ended; see [parley.ControlStore].
func (s *Store) Pauses(ctx context.Context) ([]parley.Pause, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses.find(&parley.Pause{})
	out := slices.Clone(s.pauses.rows)
	for i := range out {
		out[i].Left = time.Until(out[i].Until)
	}
	return out, nil
}
