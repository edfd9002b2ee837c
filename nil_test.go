package parley_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

func TestANilInboxIsRefusedAtRegistration(t *testing.T) {
	type tx = *memory.Tx
	event, command, call := parley.NewEvent[int]("user", "renamed"), parley.NewCommand[int]("sms", "send"), parley.NewCall[int, int]("sms", "price")
	var in *parley.Inbox[tx]
	var out *parley.Outbox[tx]
	for name, register := range map[string]func(r *parley.Router){
		"OnTx": func(r *parley.Router) {
			parley.OnTx(r, in, event, func(context.Context, tx, parley.Event[int]) error { return nil })
		},
		"OnCommandTx": func(r *parley.Router) {
			parley.OnCommandTx(r, in, command, func(context.Context, tx, parley.Command[int]) error { return nil })
		},
		"OnCall": func(r *parley.Router) {
			parley.OnCall(r, in, out, call, func(context.Context, tx, parley.Call[int]) (int, error) { return 0, nil })
		},
		"OnCallOutsideTx": func(r *parley.Router) {
			parley.OnCallOutsideTx(r, in, out, call, func(context.Context, parley.Call[int]) (int, error) { return 0, nil })
		},
		"OnReplyTx": func(r *parley.Router) {
			parley.OnReplyTx(r, in, call, func(context.Context, tx, parley.Reply[int]) error { return nil })
		},
		"OnExpired": func(r *parley.Router) {
			parley.OnExpired(r, in, call, func(context.Context, tx, int64) error { return nil })
		},
		"Inbox.Handler": func(*parley.Router) { in.Handler(func(context.Context, tx, *parley.Delivery) error { return nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, name+": the inbox is nil") || !strings.Contains(text, "database.url") {
					t.Errorf("panics with %q, want the function and the setting", text)
				}
			}()
			register(parley.NewRouter())
		})
	}
}

func TestConstructorsRefuseNilStoresAndPublishers(t *testing.T) {
	var store *memory.Store // a nil pointer in an interface
	_, outbox := parley.NewOutbox[*memory.Tx](store, nil)
	_, inbox := parley.NewInbox[*memory.Tx](store, &parley.InboxConfig{Consumer: "orders"})
	_, relay := parley.NewRelay(store, nil, nil)
	for what, err := range map[string]error{"NewOutbox: the store": outbox, "NewInbox: the store": inbox, "NewRelay: the source": relay, "NewRelay: the publisher": relay} {
		if err == nil || !strings.Contains(err.Error(), what+" must not be nil") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
