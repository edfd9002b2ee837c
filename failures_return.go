package parley

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ReturnOptions are the options of [ReturnFailures].
type ReturnOptions struct {
	// Queue is the queue that the messages return to. Required.
	Queue string
	// Secrets are those of the queue's consumer; the first one signs. Default: one derived from the broker's login.
	Secrets [][]byte
	// Keep, if not nil, reports whether a row stays in the table.
	Keep func(row *FailureRow) bool
}

// A ReturnReport counts what ReturnFailures did.
type ReturnReport struct {
	// Returned counts rows that are in the queue now, Running those that are being handled and were skipped.
	Returned, Running int
}

// returnBatch is how many rows are published before the confirmed ones are deleted.
const returnBatch = 100

// ReturnFailures moves the rows of a consumer that match q to its queue, in the order of their ids. It publishes each row as a
// signed retry copy with its history, and deletes the row once the broker has confirmed the copy. It is for a consumer that
// no longer uses a failure store. A parked row gets the whole retry plan again, as after a replay.
//
// A crash in between leaves a copy and its row: the message is delivered twice. Only consumers of this package understand a retry copy.
func ReturnFailures(ctx context.Context, b Broker, store FailureOperator, q FailureQuery, o ReturnOptions) (ReturnReport, error) {
	var done ReturnReport
	secrets, err := secretsOf(b, o.Secrets)
	if err == nil && o.Queue == "" {
		err = errors.New("ReturnOptions.Queue must be set")
	}
	for after := int64(0); err == nil; {
		var page []FailureRow
		page, err = store.List(ctx, q, after, returnBatch)
		if err != nil || len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		err = returnPage(ctx, b, store, page, secrets[0], &o, &done)
	}
	if err != nil {
		return done, fmt.Errorf("parley: return failed deliveries to queue %q: %w", o.Queue, err)
	}
	return done, nil
}

// returnPage publishes copies of rows, and deletes the rows whose copies were confirmed.
func returnPage(ctx context.Context, b Broker, store FailureOperator, page []FailureRow, secret []byte, o *ReturnOptions, done *ReturnReport) error {
	var copies []Message
	var ids []int64
	for i := range page {
		row := &page[i]
		switch {
		case row.State == FailureRunning:
			done.Running++
			continue
		case o.Keep != nil && o.Keep(row):
			continue
		}
		full, err := store.Get(ctx, row.ID)
		if errors.Is(err, ErrNoFailure) {
			continue // handled or dropped since it was listed
		}
		if err != nil {
			return err
		}
		if full.State == FailureRunning {
			done.Running++
			continue
		}
		h := full.History
		if full.State == FailureParked {
			h.Replays++
			h.Retries, h.Reason = 0, ""
		}
		copies, ids = append(copies, retryCopy(full.Message, o.Queue, o.Queue, h, secret)), append(ids, row.ID)
	}
	if len(copies) == 0 {
		return nil
	}
	confirmed, err := confirmedIDs(ids, b.Publish(ctx, copies))
	if len(confirmed) == 0 {
		return err
	}
	// Rows whose copies are in the queue must leave the table, even if ctx has ended.
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	dropped, running, dropErr := store.Drop(settle, FailureQuery{IDs: confirmed})
	done.Returned += dropped
	done.Running += running
	return errors.Join(err, dropErr)
}

// confirmedIDs returns the ids whose messages the broker has confirmed, and the first error of the others.
func confirmedIDs(ids []int64, outcomes []error) (confirmed []int64, err error) {
	if outcomes == nil {
		return ids, nil
	}
	for i, outcome := range outcomes {
		switch {
		case outcome == nil:
			confirmed = append(confirmed, ids[i])
		case err == nil:
			err = fmt.Errorf("row %d: %w", ids[i], outcome)
		}
	}
	return confirmed, err
}
