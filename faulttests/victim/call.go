package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

// question and answer are the payloads of a call.
type (
	question struct {
		Number int64 `json:"number"`
	}
	answer struct {
		Text string `json:"text"`
	}
)

func double(name string) *parley.CallType[question, answer] {
	return parley.NewCall[question, answer](name, "double")
}

// registerCalls registers handlers for the calls of its exchanges, and for the replies of the services in VICTIM_CALLS.
func (v *victim) registerCalls() {
	for _, e := range v.s.Settings.Exchanges {
		parley.OnCall(v.s.Router, v.s.Inbox, v.s.Outbox, double(e.Name), v.double)
	}
	called := os.Getenv("VICTIM_CALLS")
	if called == "" {
		return
	}
	for name := range strings.SplitSeq(called, ",") {
		parley.OnReplyTx(v.s.Router, v.s.Inbox, double(name), func(ctx context.Context, tx *service.Tx, r parley.Reply[answer]) error {
			return leaveReply(ctx, tx, r.ID, r.Data.Text)
		})
		parley.OnExpired(v.s.Router, v.s.Inbox, double(name), func(ctx context.Context, tx *service.Tx, id int64) error {
			return leaveReply(ctx, tx, id, "expired")
		})
	}
}

func (v *victim) double(ctx context.Context, tx *service.Tx, call parley.Call[question]) (answer, error) {
	return answer{fmt.Sprint(2 * call.Data.Number)}, leaveEffect(ctx, tx, call.Data.Number)
}

// leaveReply records the result of a call.
func leaveReply(ctx context.Context, tx *service.Tx, id int64, text string) error {
	return execute(ctx, tx, fmt.Sprintf("INSERT INTO replies (number, answer) SELECT number, '%s' FROM ledger WHERE event_id = %d", text, id))
}
