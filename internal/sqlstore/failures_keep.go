package sqlstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/failpoint"
)

// Keep writes failures; see [parley.FailureStore].
func (f *Failures[T]) Keep(ctx context.Context, consumer string, failures []parley.Failure) ([]parley.KeptFailure, error) {
	if len(failures) == 0 {
		return nil, nil
	}
	envelopes, err := f.encode(failures)
	if err != nil {
		return nil, f.fail("keep failed deliveries", err)
	}
	var kept []parley.KeptFailure
	err = Retry(ctx, f.d.Conflict, func() error {
		kept = make([]parley.KeptFailure, len(failures))
		return ownWith(ctx, f.keep, func(tx T) error {
			for i := range failures {
				var err error
				if kept[i], err = f.keepOne(ctx, tx, consumer, &failures[i], envelopes[i]); err != nil {
					return err
				}
			}
			return failpoint.Hit("failures.keeping")
		})
	})
	if err == nil {
		err = failpoint.Hit("failures.kept")
	}
	if err != nil {
		return nil, f.fail("keep failed deliveries", err)
	}
	f.promoteKept(ctx, consumer, failures, kept)
	return kept, nil
}

// ownWith runs fn in a transaction of begin.
func ownWith[T Tx](ctx context.Context, begin Begin[T], fn func(tx T) error) (err error) {
	tx, done, err := begin(ctx)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer func() { done(err) }()
	if err := fn(tx); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return commit(tx)
}

func (f *Failures[T]) encode(failures []parley.Failure) ([][]byte, error) {
	envelopes := make([][]byte, len(failures))
	for i := range failures {
		if s := failures[i].State; s != parley.FailureWaiting && s != parley.FailureParked {
			return nil, fmt.Errorf("the state of failure %d is %q (want waiting or parked)", i, s)
		}
		var err error
		if envelopes[i], err = parley.EncodeEnvelope(&failures[i].Message); err == nil {
			err = f.fits(envelopes[i], failures[i].Message.Body)
		}
		if err != nil {
			return nil, err
		}
	}
	return envelopes, nil
}

func (f *Failures[T]) fits(parameters ...[]byte) error {
	if f.d.Fits == nil {
		return nil
	}
	return f.d.Fits(parameters...)
}

// A failureInsert collects columns and their values: parameters, or SQL for values of the database's clock.
type failureInsert struct {
	columns, values []string
	args            []any
}

func (in *failureInsert) add(column string, arg any) {
	in.columns, in.values, in.args = append(in.columns, column), append(in.values, "?"), append(in.args, arg)
}

func (in *failureInsert) addSQL(column, expr string) {
	in.columns, in.values = append(in.columns, column), append(in.values, expr)
}

func (in *failureInsert) query() string {
	return "INSERT INTO parley_failed (" + strings.Join(in.columns, ", ") + ") VALUES (" + strings.Join(in.values, ", ") + ")"
}

func (f *Failures[T]) keepOne(ctx context.Context, tx Tx, consumer string, o *parley.Failure, envelope []byte) (k parley.KeptFailure, err error) {
	k.State = o.State
	if o.State == parley.FailureWaiting && o.Key != "" {
		lines, err := f.lines(ctx, tx, consumer, []string{o.Key}, 1)
		if err != nil {
			return k, fmt.Errorf("find earlier rows of the key: %w", err)
		}
		if lines[o.Key].first() != nil {
			k.State = parley.FailureBehind
		}
	}
	in := f.insertion(consumer, o, k.State)
	if k.ID, k.Repeat, err = f.d.Insert(ctx, tx, f.sql(in.query()), in.args); err != nil {
		return k, fmt.Errorf("insert: %w", err)
	}
	if k.Repeat {
		rows, err := f.lockRows(ctx, tx, []int64{k.ID}, f.d.Lock)
		if err == nil && len(rows) == 0 {
			err = fmt.Errorf("row %d was deleted meanwhile", k.ID)
		}
		if err != nil {
			return k, fmt.Errorf("read the row of a repeat: %w", err)
		}
		k.State = rows[0].state
		return k, nil
	}
	body := o.Message.Body
	if body == nil {
		body = []byte{}
	}
	if _, err := f.exec(ctx, tx, "INSERT INTO parley_failed_body (id, envelope, body) VALUES (?, ?, ?)", k.ID, envelope, body); err != nil {
		return k, fmt.Errorf("insert body: %w", err)
	}
	return k, nil
}

func (f *Failures[T]) insertion(consumer string, o *parley.Failure, state parley.FailureState) *failureInsert {
	clean := func(s string) string { return parley.CleanText(s, failureTexts) }
	m, h := &o.Message, &o.History
	in := &failureInsert{}
	in.add("consumer", consumer)
	in.add("repeat_of", optionalBytes(o.RepeatOf))
	in.add("ordering_key", o.Key)
	in.add("state", string(state))
	in.add("holds", o.Holds && state == parley.FailureParked)
	in.addSQL("created_at", f.d.Now)
	switch state {
	case parley.FailureWaiting:
		in.addSQL("due_at", f.d.KeepIn(micros(o.After)))
	case parley.FailureParked:
		in.addSQL("parked_at", f.d.Now)
	}
	for _, c := range []struct {
		name  string
		value any
	}{
		{"begun", o.Begun},
		{"hops", h.Retries},
		{"attempts", h.Attempts},
		{"replays", h.Replays},
		{"first_failure", f.failureTime(h.FirstFailure)},
		{"last_failure", f.failureTime(h.LastFailure)},
		{"first_error", clean(h.FirstError)},
		{"last_error", clean(h.LastError)},
		{"reason", clean(h.Reason)},
		{"fingerprint", parley.CleanText(o.Fingerprint, 64)},
		{"exchange", clean(m.Exchange)},
		{"routing_key", clean(m.RoutingKey)},
		{"message_id", clean(m.ID)},
		{"identity", o.Identity},
		{"correlation_id", clean(m.CorrelationID)},
		{"size", len(m.Body)},
	} {
		in.add(c.name, c.value)
	}
	if f.d.Digests {
		f.addDigests(in, consumer, o)
	}
	return in
}

func (f *Failures[T]) addDigests(in *failureInsert, consumer string, o *parley.Failure) {
	if o.Key != "" {
		in.add("key_digest", keyDigest(consumer, o.Key))
	}
	if o.Identity != "" {
		sum := sha256.Sum256([]byte(o.Identity))
		in.add("identity_digest", sum[:])
	}
}

func optionalBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// promoteKept promotes the keys of rows that are behind: the rows ahead of them may have been removed meanwhile. If two
// processes have kept two first rows at once, it puts the second one behind.
func (f *Failures[T]) promoteKept(ctx context.Context, consumer string, failures []parley.Failure, kept []parley.KeptFailure) {
	keys := map[string]bool{}
	for i := range failures {
		if failures[i].Key != "" && kept[i].State != parley.FailureParked {
			keys[failures[i].Key] = true
		}
	}
	f.promoteLater(ctx, consumer, slices.Collect(maps.Keys(keys)))
}

// promotionLimit limits a promotion after a commit.
const promotionLimit = 5 * time.Second

// promoteLater promotes keys after a commit. An error of the promotion is not returned to the
// caller, because the commit is done. The next Sweep completes the promotion.
func (f *Failures[T]) promoteLater(ctx context.Context, consumer string, keys []string) {
	if len(keys) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), promotionLimit)
	defer cancel()
	_, _ = f.promote(ctx, consumer, keys)
}
