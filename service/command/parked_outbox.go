package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/parley-go/parley"
)

// parkedRows are the parked records of the outbox.
type parkedRows struct{ store parley.ParkedStore }

func (r parkedRows) letter() byte { return outboxLetter }

func (r parkedRows) visit(ctx context.Context, f *parkedFilter, do func(p *parkedItem) (parley.ParkedAction, error)) (parkedCount, error) {
	var count parkedCount
	after, _ := strconv.ParseInt(f.afterIn(outboxLetter), 10, 64)
	ids := f.numbers(outboxLetter)
	if len(ids) > 0 {
		after = slices.Min(ids) - 1
	}
	for {
		page, err := r.store.ListParked(ctx, after, parkedPage)
		if err != nil || len(page) == 0 {
			return count, err
		}
		after = page[len(page)-1].ID
		replay, drop, err := pick(f, page, do)
		n, changeErr := r.change(ctx, f, replay, drop)
		count.done += n
		switch {
		case changeErr != nil || err != nil && !errors.Is(err, errEnough):
			return count, errors.Join(err, changeErr)
		case err != nil || len(ids) > 0 && after >= slices.Max(ids):
			return count, nil
		}
	}
}

// pick calls do with the selected records of a page, and returns the ids to replay and to drop.
func pick(f *parkedFilter, page []parley.ParkedRecord, do func(p *parkedItem) (parley.ParkedAction, error)) (replay, drop []int64, err error) {
	for i := range page {
		row := &page[i]
		p := &parkedItem{
			id: fmt.Sprintf("%c%d", outboxLetter, row.ID), at: row.ParkedAt, state: "parked", reason: row.Reason,
			record: row.RecordID, verified: true, size: len(row.Body), Message: &row.Message,
		}
		if !f.takes(p) {
			continue
		}
		action, err := do(p)
		if err != nil {
			return replay, drop, err
		}
		switch action {
		case parley.ParkedReplay:
			replay = append(replay, row.ID)
		case parley.ParkedDrop:
			drop = append(drop, row.ID)
		}
	}
	return replay, drop, nil
}

func (r parkedRows) change(ctx context.Context, f *parkedFilter, replay, drop []int64) (n int, err error) {
	if f.every > 0 {
		for i, id := range replay {
			if err := pace(ctx, f, i); err != nil {
				return n, err
			}
			one, err := r.store.ReplayParked(ctx, []int64{id})
			if n += one; err != nil {
				return n, err
			}
		}
		return n, nil
	}
	if len(replay) > 0 {
		n, err = r.store.ReplayParked(ctx, replay)
	}
	if len(drop) > 0 && err == nil {
		n, err = r.store.DropParked(ctx, drop)
	}
	return n, err
}

func (r parkedRows) edit(ctx context.Context, _ *parkedFilter, id string, body []byte) error {
	n, err := strconv.ParseInt(id[1:], 10, 64)
	if err != nil {
		return checkID(id)
	}
	return r.store.EditParked(ctx, n, body)
}
