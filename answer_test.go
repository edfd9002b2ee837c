package parley_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

// The caller has given up: with RollBackExpired the change of state and the reply are rolled back, without it both stay.
func TestACallThatExpiresWhileItIsHandledIsRolledBackIfItsRouteSaysSo(t *testing.T) {
	for name, options := range map[string][]parley.RouteOption{"without": nil, "with": {parley.RollBackExpired()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memory.NewStore()
				inbox, err := parley.NewInbox(store, &parley.InboxConfig{Consumer: "bank"})
				if err != nil {
					t.Fatal(err)
				}
				outbox, err := parley.NewOutbox(store, nil)
				if err != nil {
					t.Fatal(err)
				}
				pay := parley.NewCall[int, int]("bank", "pay")
				r := parley.NewRouter()
				parley.OnCall(r, inbox, outbox, pay, func(context.Context, *memory.Tx, parley.Call[int]) (int, error) {
					time.Sleep(2*time.Second + parley.ExpirySkew)
					return 1, nil
				}, options...)
				m := parleytest.NewCallMessage(t, pay, 7, parley.WithReplyTo("shop"), parley.WithExpiresIn(time.Second))
				err = parleytest.Deliver(t, r, m)
				stats, statsErr := store.Stats(t.Context())
				if statsErr != nil {
					t.Fatal(statsErr)
				}
				if want := int64(len(options)); stats.Due != 1-want {
					t.Errorf("%d replies are recorded (the handler's result is %v), want %d", stats.Due, err, 1-want)
				}
			})
		})
	}
}
