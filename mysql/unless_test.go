package mysql_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

// Both transactions have begun, and read, before either publishes. The server's default is REPEATABLE READ.
func TestUnlessSchedulesOnceOrFailsAtEveryIsolationLevel(t *testing.T) {
	s := open(t)
	outbox, err := parley.NewOutbox(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, tags := t.Context(), parley.Tags{"a": 1}
	for _, level := range []sql.IsolationLevel{sql.LevelDefault, sql.LevelReadCommitted, sql.LevelRepeatableRead} {
		if _, err := s.DB().ExecContext(ctx, "DELETE FROM parley_outbox"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DB().ExecContext(ctx, "DELETE FROM parley_outbox_tags"); err != nil {
			t.Fatal(err)
		}
		var txs [2]*sql.Tx
		for i := range txs {
			if txs[i], err = s.DB().BeginTx(ctx, &sql.TxOptions{Isolation: level}); err != nil {
				t.Fatal(err)
			}
			if err := txs[i].QueryRowContext(ctx, "SELECT COUNT(*) FROM parley_outbox_tags").Scan(new(int)); err != nil {
				t.Fatal(err)
			}
		}
		var errs [2]error
		for i, tx := range txs {
			_, errs[i] = parley.Publish(context.WithoutCancel(ctx), outbox.In(tx), remind, map[string]int{},
				parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(tags), parley.WithUnlessTags(tags))
			if errs[i] == nil {
				errs[i] = tx.Commit()
			}
			_ = tx.Rollback() // it may have ended
		}
		var n int
		if err := s.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM parley_outbox").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 1 || errs[0] != nil {
			t.Errorf("%v: %d events were scheduled, want 1 (%v)", level, n, errs)
		}
	}
}
