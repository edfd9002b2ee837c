package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
)

// A racingStore is a table of failed deliveries that changes during a command.
type racingStore struct {
	parley.FailureOperator
	handled []int64 // rows that are deleted before they are read
	lost    bool    // the connection is lost after one replayed row
}

func (r racingStore) Get(ctx context.Context, id int64) (parley.FailureRow, error) {
	if slices.Contains(r.handled, id) {
		if _, _, err := r.Drop(ctx, parley.FailureQuery{IDs: []int64{id}}); err != nil {
			return parley.FailureRow{}, err
		}
	}
	return r.FailureOperator.Get(ctx, id)
}

func (r racingStore) Replay(ctx context.Context, q parley.FailureQuery, every time.Duration) (int, error) {
	if r.lost {
		return 1, errors.New("connection lost")
	}
	return r.FailureOperator.Replay(ctx, q, every)
}

// raced keeps commands, and returns a command and the places of a table in which the first of them is handled meanwhile.
func raced(t *testing.T, lost bool) (cmd *cobra.Command, out *bytes.Buffer, set parkedSet) {
	t.Helper()
	s := openFlag(t, sqliteURL(t))
	command := kept{state: parley.FailureParked, kind: parley.KindCommand, body: `{"a": 1, "meta": {"expiredTime": "2120-01-02T03:04:05.000Z"}}`}
	ids := keep(t, s, "orders", command, command, command)
	first := (&parkedFilter{ids: ids[:1]}).numbers(consumerLetter)
	if lost {
		first = nil
	}
	cmd, out = &cobra.Command{}, &bytes.Buffer{}
	cmd.SetOut(out)
	cmd.SetErr(io.Discard)
	return cmd, out, parkedSet{s: s, places: []parkedPlace{parkedFailures{racingStore{s.Database().Failures(), first, lost}}}}
}

func TestAnExportGoesOnWhenARowIsHandledMeanwhile(t *testing.T) {
	cmd, out, set := raced(t, false)
	var errs bytes.Buffer
	cmd.SetErr(&errs)
	if err := export(t.Context(), cmd, set, &parkedFilter{}); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 || !strings.Contains(errs.String(), "1 message was handled or deleted meanwhile") {
		t.Errorf("exported %d messages, want the 2 that are left and a note about the other:\n%s%s", n, out, &errs)
	}
}

func TestAReplayGoesOnWhenARowIsHandledMeanwhile(t *testing.T) {
	cmd, out, set := raced(t, false)
	ch := &parkedChange{parkedFlags: parkedFlags{parkedFilter: parkedFilter{all: true}}, action: parley.ParkedReplay, done: "replayed"}
	err := ch.run(t.Context(), cmd, set)
	if err == nil || !strings.Contains(err.Error(), "skipped 1 message: it was handled or deleted meanwhile") || !strings.Contains(out.String(), "replayed 2") {
		t.Errorf("%s(%v), want 2 replayed messages and one that was skipped", out, err)
	}
}

func TestAFailedReplayDoesNotCallItsRowsBeingHandled(t *testing.T) {
	cmd, out, set := raced(t, true)
	ch := &parkedChange{parkedFlags: parkedFlags{parkedFilter: parkedFilter{all: true}}, action: parley.ParkedReplay, done: "replayed"}
	err := ch.run(t.Context(), cmd, set)
	if err == nil || !strings.Contains(err.Error(), "connection lost") || strings.Contains(err.Error(), "being handled") || !strings.Contains(out.String(), "replayed 1") {
		t.Errorf("%s(%v), want 1 replayed message and only the error", out, err)
	}
}
