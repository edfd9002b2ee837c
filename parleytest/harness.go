package parleytest

import (
	"context"
	"slices"
	"testing"

	"github.com/parley-go/parley"
)

// A HandlerStore is what a [Harness] needs of a store: an outbox and an inbox in one database. The stores of
// all drivers are ones, *memory.Store too.
type HandlerStore[Tx any] interface {
	parley.OutboxStore[Tx]
	parley.InboxStore[Tx]
}

// A Harness runs handlers of [parley.OnTx], [parley.OnCommandTx] and [parley.OnCall] in real transactions of a store, without a broker,
// a relay or a consumer. Register the handlers on Router with Inbox, then call Deliver. It may be used concurrently if its store allows that.
type Harness[Tx any] struct {
	// Router is empty at first.
	Router *parley.Router
	// Inbox records the identities of delivered messages for the consumer "parleytest".
	Inbox *parley.Inbox[Tx]
	// Outbox is for handlers that publish: Outbox.In(tx).
	Outbox *parley.Outbox[Tx]

	t     testing.TB
	store HandlerStore[Tx]
}

// NewHarness returns a harness on a store whose tables exist. The test needs no server with a *memory.Store, a *sqlite.Store on a
// file in t.TempDir(), or a [TxStore] for a transaction type of your own.
func NewHarness[Tx any](t testing.TB, store HandlerStore[Tx]) *Harness[Tx] {
	t.Helper()
	inbox, err := parley.NewInbox(store, &parley.InboxConfig{Consumer: "parleytest"})
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Harness[Tx]{Router: parley.NewRouter(), Inbox: inbox, Outbox: outbox, t: t, store: store}
}

// Deliver runs one message through Router, as a consumer would, and returns the handler's error. It returns nil if the
// message would be acked: the handler's transaction has committed, or the message is a duplicate and the handler did
// not run. After an error the transaction is rolled back. A consumer would
// retry the message then, or park it: see parley.DefaultRetry.Parks.
func (h *Harness[Tx]) Deliver(m parley.Message) error {
	h.t.Helper()
	return Deliver(h.t, h.Router, m)
}

// InTx runs fn in a transaction of the store, for example to prepare rows or to read them. It commits if fn returns nil; otherwise it fails the test.
func (h *Harness[Tx]) InTx(fn func(ctx context.Context, tx Tx) error) {
	h.t.Helper()
	if err := h.store.Once(h.t.Context(), "", "", fn); err != nil { // without an identity nothing is recorded
		h.t.Fatalf("transaction of the test: %v", err)
	}
}

// Published implements [Log]: the messages in the outbox, with the scheduled ones last. These are the messages of all transactions that have
// committed, if no relay runs on the store.
func (h *Harness[Tx]) Published() []parley.Message {
	h.t.Helper()
	if log, ok := h.store.(Log); ok {
		return log.Published()
	}
	source, ok := h.store.(parley.RelaySource)
	if !ok {
		h.t.Fatalf("the store %T has neither Published nor Claim, so its messages cannot be read", h.store)
	}
	records := h.due(source)
	h.InTx(func(ctx context.Context, tx Tx) error {
		scheduled, err := h.store.Scheduled(ctx, tx, parley.Selection{}, publishedLimit)
		records = append(records, scheduled...)
		return err
	})
	var messages []parley.Message
	seen := map[int64]bool{}
	for _, r := range records {
		if !seen[r.ID] { // a scheduled record that is due is in both lists
			seen[r.ID] = true
			r.Body = parley.FinishBody(r.Kind, r.ID, r.Body)
			messages = append(messages, r.Message)
		}
	}
	return messages
}

// publishedLimit is how many messages of each list Published reads.
const publishedLimit = 10_000

// due returns the records that a relay would send now. They stay in the outbox.
func (h *Harness[Tx]) due(source parley.RelaySource) []parley.Record {
	h.t.Helper()
	ctx := h.t.Context()
	batch, err := source.Claim(ctx, parley.ClaimOptions{Limit: publishedLimit})
	if err != nil {
		h.t.Fatalf("read the outbox: %v", err)
	}
	records := slices.Clone(batch.Records())
	if err := batch.Release(ctx); err != nil {
		h.t.Fatalf("read the outbox: release: %v", err)
	}
	return records
}
