package parleytest_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

// roomless is a store whose batches have no room for scheduled records while others are due.
type roomless struct{ *memory.Store }

func (s roomless) Claim(ctx context.Context, o parley.ClaimOptions) (parley.Batch, error) {
	b, err := s.Store.Claim(ctx, o)
	return roomlessBatch{b}, err
}

type roomlessBatch struct{ parley.Batch }

func (b roomlessBatch) Records() []parley.Record {
	all := b.Batch.Records()
	atOnce := slices.DeleteFunc(slices.Clone(all), func(r parley.Record) bool { return !r.DueAt.IsZero() })
	if len(atOnce) == 0 {
		return all
	}
	return atOnce
}

// The suite runs in a process of its own, because it must fail.
func TestTheSuiteFindsAStoreThatLeavesNoRoomForScheduledRecords(t *testing.T) {
	const inside = "ROOMLESS_STORE"
	if os.Getenv(inside) != "" {
		parleytest.TestStore(t, func(*testing.T) parleytest.StoreUnderTest[*memory.Tx] {
			s := memory.NewStore()
			return parleytest.StoreUnderTest[*memory.Tx]{
				Store:    roomless{s},
				Begin:    s.Begin,
				Commit:   func(ctx context.Context, tx *memory.Tx) error { return tx.Commit(ctx) },
				Rollback: func(ctx context.Context, tx *memory.Tx) error { return tx.Rollback(ctx) },
			}
		})
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$/^ABacklogLeavesRoomForScheduledRecords$")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "without the only record of its kind") {
		t.Errorf("the suite passes (%v):\n%s", err, out)
	}
}
