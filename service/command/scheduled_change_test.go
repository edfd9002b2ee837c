package command

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

func TestChangesOfScheduledMessagesAreLogged(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := openFlag(t, flag)
			ids := make([]string, 3)
			err := s.InTx(t.Context(), func(tx *service.Tx) error {
				for i := range ids {
					id, err := parley.Publish(t.Context(), s.Outbox.In(tx), parley.NewEvent[string]("user", "remind"), "x", parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(parley.Tags{"n": i}))
					if err != nil {
						return err
					}
					ids[i] = num(id)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			selected := []string{"--exchange", "user", "--routing-key", "remind", "--tag", "n=0", flag}
			mustCall(t, ExitOK, append([]string{"scheduled", "reschedule", "--to", "+2h", "--dry-run"}, selected...)...)
			mustCall(t, ExitOK, append([]string{"scheduled", "reschedule", "--to", "+2h", "--note", "ticket 7"}, selected...)...)
			mustCall(t, ExitOK, "scheduled", "cancel", ids[1], ids[2], flag)
			mustCall(t, ExitFailed, "scheduled", "cancel", ids[0], ids[1], flag)
			log, err := s.Database().Actions(t.Context(), parley.ActionQuery{})
			if err != nil || len(log) != 3 {
				t.Fatalf("%d entries (%v), want one for each call that is no dry run: %+v", len(log), err, log)
			}
			if a := log[2]; a.Name != parley.ActionMoveScheduled || a.Changed != 1 || a.Reason != "ticket 7" || !strings.HasPrefix(a.Filter, "exchange=user routing_key=remind tag.n=0 to=") || a.By == "" {
				t.Errorf("the move is logged as %+v", a)
			}
			if a := log[1]; a.Name != parley.ActionCancelScheduled || a.Changed != 2 || a.Filter != "ids="+ids[1]+","+ids[2] || a.State != parley.ActionDone {
				t.Errorf("the cancellation of two is logged as %+v", a)
			}
			if a := log[0]; a.Changed != 0 || a.State != parley.ActionStopped {
				t.Errorf("the cancellation of a missing one is logged as %+v", a)
			}
		})
	}
}
