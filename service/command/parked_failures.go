package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/parley-go/parley"
)

// parkedFailures are the rows of failed deliveries of consumers with a database.
type parkedFailures struct{ store parley.FailureOperator }

func (r parkedFailures) letter() byte { return consumerLetter }

// staggerLimit is the most rows that a replay with a rate staggers in one statement.
const staggerLimit = 10_000

// query returns the conditions of the filter that the table can evaluate. The method takes checks the others.
func (r parkedFailures) query(f *parkedFilter) parley.FailureQuery {
	q := parley.FailureQuery{IDs: f.numbers(consumerLetter), Exchange: exact(f.exchange), RoutingKey: exact(f.routingKey)}
	switch {
	case len(q.IDs) > 0: // in any state, of any consumer
		return q
	case f.waiting:
		q.States = []parley.FailureState{parley.FailureWaiting, parley.FailureBehind, parley.FailureRunning}
	default:
		q.States = []parley.FailureState{parley.FailureParked}
	}
	q.Consumer = f.consumer
	return q
}

func (r parkedFailures) visit(ctx context.Context, f *parkedFilter, do func(p *parkedItem) (parley.ParkedAction, error)) (parkedCount, error) {
	v := failureVisit{r: r, f: f, do: do}
	after, _ := strconv.ParseInt(f.afterIn(consumerLetter), 10, 64)
	query := r.query(f)
	for {
		page, err := r.store.List(ctx, query, after, parkedPage)
		if err != nil {
			return v.count, errors.Join(err, v.flush(ctx))
		}
		if len(page) == 0 {
			return v.count, v.flush(ctx)
		}
		after = page[len(page)-1].ID
		if err := v.page(ctx, page); err != nil {
			if errors.Is(err, errEnough) {
				err = nil
			}
			return v.count, errors.Join(err, v.flush(ctx))
		}
	}
}

// A failureVisit visits the rows and changes them page by page. With a rate it changes all rows at the end, because one statement
// staggers their due times.
type failureVisit struct {
	r            parkedFailures
	f            *parkedFilter
	do           func(p *parkedItem) (parley.ParkedAction, error)
	replay, drop []int64
	count        parkedCount
}

func (v *failureVisit) page(ctx context.Context, page []parley.FailureRow) error {
	for i := range page {
		p := v.r.item(&page[i])
		if !v.f.takes(p) {
			continue
		}
		action, err := v.do(p)
		if err != nil {
			return err
		}
		switch action {
		case parley.ParkedReplay:
			v.replay = append(v.replay, page[i].ID)
		case parley.ParkedDrop:
			v.drop = append(v.drop, page[i].ID)
		}
		if v.f.every > 0 && len(v.replay) == staggerLimit {
			return fmt.Errorf("replayed only the first %d messages, the limit with --rate (repeat the command when they are handled)", staggerLimit)
		}
	}
	if v.f.every > 0 {
		return nil
	}
	return v.flush(ctx)
}

// flush replays and drops the collected rows.
func (v *failureVisit) flush(ctx context.Context) error {
	replay, drop := v.replay, v.drop
	v.replay, v.drop = nil, nil
	if len(replay) > 0 {
		n, err := v.r.store.Replay(ctx, parley.FailureQuery{IDs: replay}, v.f.every)
		v.count.done += n
		if err != nil {
			return err
		}
		v.count.running += len(replay) - n
	}
	if len(drop) > 0 {
		n, running, err := v.r.store.Drop(ctx, parley.FailureQuery{IDs: drop})
		v.count.done += n
		v.count.running += running
		return err
	}
	return nil
}

// item converts a row to a parkedItem. The body is read on demand.
func (r parkedFailures) item(row *parley.FailureRow) *parkedItem {
	p := &parkedItem{
		id: fmt.Sprintf("%c%d", consumerLetter, row.ID), at: row.DueAt, state: string(row.State), consumer: row.Consumer,
		reason: row.History.Reason, row: row, history: &row.History, verified: true, size: row.Size, Message: &row.Message,
	}
	if row.State == parley.FailureParked {
		p.at = row.ParkedAt
	} else {
		p.reason = row.History.LastError
	}
	p.load = func(ctx context.Context) ([]byte, error) {
		full, err := r.store.Get(ctx, row.ID)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.id, err)
		}
		return full.Message.Body, nil
	}
	return p
}

func (r parkedFailures) edit(ctx context.Context, _ *parkedFilter, id string, body []byte) error {
	n, err := strconv.ParseInt(id[1:], 10, 64)
	if err != nil {
		return checkID(id)
	}
	if err := r.store.Edit(ctx, n, body); err != nil {
		return fmt.Errorf("edit %s: %w", id, err)
	}
	return nil
}
