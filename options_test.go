package parley_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type note struct {
	Text string `json:"text"`
}

var (
	noteTaken = parley.NewEvent[note]("notes", "taken")
	takeNote  = parley.NewCommand[note]("notes", "take")
	askNote   = parley.NewCall[note, note]("notes", "ask")
)

// untouched is a store that fails the test on any write.
type untouched struct {
	*memory.Store
	t *testing.T
}

func (u untouched) Insert(context.Context, *memory.Tx, []parley.Record) error {
	u.t.Error("a record with an invalid value reached the database")
	return nil
}

func (u untouched) Reschedule(context.Context, *memory.Tx, parley.Selection, time.Time) (int, error) {
	u.t.Error("an invalid time reached the database")
	return 0, nil
}

// invalid checks that each of the operations is rejected before any statement.
func invalid(t *testing.T, operations map[string]func(ctx context.Context, to *parley.TxOutbox) error) {
	t.Helper()
	s := memory.NewStore()
	o, err := parley.NewOutbox(untouched{s, t}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, operation := range operations {
		err := s.InTx(t.Context(), func(tx *memory.Tx) error {
			if err := operation(t.Context(), o.In(tx)); !errors.Is(err, parley.ErrInvalid) {
				t.Errorf("%s: %v, want an error that matches ErrInvalid", what, err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: the transaction is not usable any more: %v", what, err)
		}
	}
}

func TestTimesThatNoDatabaseCanHoldAreInvalid(t *testing.T) {
	tags := parley.Tags{"a": 1}
	for _, far := range []time.Time{
		time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(math.MaxInt64, 0), time.Unix(1700000000000, 0),
	} {
		name := fmt.Sprint(far.Unix(), " ")
		invalid(t, map[string]func(context.Context, *parley.TxOutbox) error{
			name + "Publish WithDueAt": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := parley.Publish(ctx, to, noteTaken, note{}, parley.WithDueAt(far))
				return err
			},
			name + "PublishAll WithDueAt, WithUnlessTags": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := parley.PublishAll(ctx, to, noteTaken, []note{{}}, parley.WithDueAt(far), parley.WithUnlessTags(tags), parley.WithTags(tags))
				return err
			},
			name + "SendTx WithDueAt": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := parley.SendTx(ctx, to, takeNote, note{}, parley.WithDueAt(far))
				return err
			},
			name + "SendTx WithExpiresAt": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := parley.SendTx(ctx, to, takeNote, note{}, parley.WithExpiresAt(far))
				return err
			},
			name + "Ask WithExpiresAt": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := parley.Ask(ctx, to, askNote, note{}, parley.WithReplyTo("r"), parley.WithExpiresAt(far))
				return err
			},
			name + "Ask WithDueAt": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := parley.Ask(ctx, to, askNote, note{}, parley.WithReplyTo("r"), parley.WithDueAt(far))
				return err
			},
			name + "Reschedule": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := parley.Reschedule(ctx, to, noteTaken, tags, far)
				return err
			},
			name + "Record.DueAt": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := to.Record(ctx, parley.Record{Message: parley.Message{Exchange: "x"}, DueAt: far})
				return err
			},
			name + "Message.Timestamp": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := to.Record(ctx, parley.Record{Message: parley.Message{Exchange: "x", Timestamp: far}})
				return err
			},
			name + "a header": func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := to.Record(ctx, parley.Record{Message: parley.Message{Exchange: "x", Headers: map[string]any{"at": far}}})
				return err
			},
		})
	}
	last := time.Date(9999, 12, 31, 23, 59, 59, 500_000_000, time.UTC)
	invalid(t, map[string]func(context.Context, *parley.TxOutbox) error{
		"a notice that would be due in the year 10000": func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := parley.Ask(ctx, to, askNote, note{}, parley.WithReplyTo("r"), parley.WithExpiresAt(last), parley.WithExpiryNotice())
			return err
		},
	})
}

func TestHeadersThatRabbitMQActsOnAreInvalid(t *testing.T) {
	for _, name := range []string{"CC", "BCC"} {
		invalid(t, map[string]func(context.Context, *parley.TxOutbox) error{
			"WithHeader " + name: func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := parley.Publish(ctx, to, noteTaken, note{}, parley.WithHeader(name, "audit"))
				return err
			},
			"Record with " + name: func(ctx context.Context, to *parley.TxOutbox) error {
				_, err := to.Record(ctx, parley.Record{Message: parley.Message{Exchange: "x", Headers: map[string]any{name: []any{"audit"}}}})
				return err
			},
		})
		if err := parley.Send(t.Context(), memory.NewBroker(nil), takeNote, note{}, parley.WithHeader(name, "audit")); !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("Send with the header %s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := noteTaken.Record(note{}, parley.WithHeader("cc", "audit")); err != nil {
		t.Errorf("the header cc means nothing to RabbitMQ, and is refused: %v", err)
	}
}

// No outbox can hold it: the record before it must not be written either.
func TestAHeaderThatIsNoStringIsInvalid(t *testing.T) {
	for _, value := range []any{nil, true, []byte("x"), int64(1), 1.5, time.Now(), []any{"x"}, map[string]any{"x": "y"}} {
		invalid(t, map[string]func(context.Context, *parley.TxOutbox) error{
			fmt.Sprintf("%T", value): func(ctx context.Context, to *parley.TxOutbox) error {
				r := bare()
				r.Headers = map[string]any{"name": value}
				_, err := to.Record(ctx, bare(), r)
				return err
			},
		})
	}
}

// An inbox would handle the first event and ignore the others as its duplicates.
func TestOneMessageIDForSeveralEventsIsInvalid(t *testing.T) {
	record := func(id string) parley.Record {
		r, err := noteTaken.Record(note{}, parley.WithMessageID(id))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	publishAll := func(notes ...note) func(ctx context.Context, to *parley.TxOutbox) error {
		return func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := parley.PublishAll(ctx, to, noteTaken, notes, parley.WithMessageID("a"))
			return err
		}
	}
	invalid(t, map[string]func(context.Context, *parley.TxOutbox) error{
		"PublishAll": func(ctx context.Context, to *parley.TxOutbox) error {
			err := publishAll(note{"1"}, note{"2"})(ctx, to)
			if err != nil && !strings.Contains(err.Error(), "call Publish for each") {
				t.Errorf("%v does not say what to call instead", err)
			}
			return err
		},
		"Record": func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := to.Record(ctx, record("a"), record("b"), record("a"))
			return err
		},
	})
	w := newWorld(t)
	for what, operation := range map[string]func(ctx context.Context, to *parley.TxOutbox) error{
		"one event": publishAll(note{"1"}),
		"no event":  publishAll(),
		"two ids": func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := to.Record(ctx, record("a"), record("b"))
			return err
		},
		"no id": func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := to.Record(ctx, bare(), bare())
			return err
		},
	} {
		err := w.store.InTx(t.Context(), func(tx *memory.Tx) error { return operation(t.Context(), w.outbox.In(tx)) })
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// bare returns a record without a message id.
func bare() parley.Record {
	return parley.Record{Message: parley.Message{Exchange: "x", Body: []byte("{}")}}
}

// A database or a broker would replace what is no UTF-8: a tag would match nothing, and a key would be another one.
func TestAHeaderOrTagThatIsNoUTF8IsInvalid(t *testing.T) {
	const latin1 = "M\xfcller"
	due, scheduled := parley.WithDueAt(time.Now().Add(time.Hour)), parley.Message{Exchange: "x"}
	publish := func(options ...parley.PublishOption) func(context.Context, *parley.TxOutbox) error {
		return func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := parley.Publish(ctx, to, noteTaken, note{}, options...)
			if err != nil && !strings.Contains(err.Error(), "valid UTF-8") {
				t.Errorf("%v does not name the reason", err)
			}
			return err
		}
	}
	record := func(r parley.Record) func(context.Context, *parley.TxOutbox) error {
		return func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := to.Record(ctx, r)
			return err
		}
	}
	invalid(t, map[string]func(context.Context, *parley.TxOutbox) error{
		"the value of a header":   publish(parley.WithHeader("name", latin1)),
		"the name of a header":    publish(parley.WithHeader(latin1, "x")),
		"an ordering key":         publish(parley.WithKey(latin1)),
		"the value of a tag":      publish(due, parley.WithTags(parley.Tags{"name": latin1})),
		"the name of a tag":       publish(due, parley.WithTags(parley.Tags{latin1: 1})),
		"a tag of WithUnless":     publish(due, parley.WithTags(parley.Tags{"a": 1}), parley.WithUnlessTags(parley.Tags{"name": latin1})),
		"the tags of a record":    record(parley.Record{Message: scheduled, DueAt: time.Now().Add(time.Hour), Tags: map[string]string{"name": latin1}}),
		"the other tags of one":   record(parley.Record{Message: scheduled, DueAt: time.Now().Add(time.Hour), UnlessTags: map[string]string{"name": latin1}}),
		"the headers of a record": record(parley.Record{Message: parley.Message{Exchange: "x", Headers: map[string]any{"name": latin1}}}),
		"Cancel": func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := parley.Cancel(ctx, to, noteTaken, parley.Tags{"name": latin1})
			return err
		},
		"Reschedule": func(ctx context.Context, to *parley.TxOutbox) error {
			_, err := parley.Reschedule(ctx, to, noteTaken, parley.Tags{"name": latin1}, time.Now())
			return err
		},
	})
	if err := parley.Send(t.Context(), memory.NewBroker(nil), takeNote, note{}, parley.WithKey(latin1)); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("Send with such a key: %v, want ErrInvalid", err)
	}
}

func TestWhatIsAcceptedFitsWithTheLongestNumber(t *testing.T) {
	for kind, empty := range map[parley.Kind]string{
		parley.KindEvent: `{"payload": ""}`, parley.KindCall: `{"data": ""}`, parley.KindCommand: `{"a": ""}`, "": `{"a": ""}`,
	} {
		body := func(size int) []byte {
			return []byte(empty[:len(empty)-2] + strings.Repeat("x", size-len(empty)) + empty[len(empty)-2:])
		}
		accepted := parley.MaxBody - 64 - 1 + sort.Search(128, func(n int) bool { return parley.CheckBody(kind, body(parley.MaxBody-64+n)) != nil })
		limit := len(parley.FinishBody(kind, math.MinInt64, body(accepted)))
		if limit != parley.MaxBody {
			t.Errorf("kind %q: the largest body that is accepted has %d bytes, and %d with its number; want %d with its number", kind, accepted, limit, parley.MaxBody)
		}
	}
	refused := parley.MaxBody - 256 + sort.Search(256, func(n int) bool {
		_, err := noteTaken.Record(note{strings.Repeat("x", parley.MaxBody-256+n)})
		return err != nil
	})
	rec, err := noteTaken.Record(note{strings.Repeat("x", refused-1)})
	if size := len(parley.FinishBody(parley.KindEvent, math.MinInt64, rec.Body)); err != nil || size > parley.MaxBody {
		t.Errorf("Publish takes a text of %d bytes (%v), which makes a body of %d bytes with the longest id, %d too many", refused-1, err, size, size-parley.MaxBody)
	}
}

// In UTC the end of the year 9999 of New York is in the year 10000.
func TestATimeOfAPayloadOutsideTheYearsOfTheWireIsInvalid(t *testing.T) {
	type lease struct{ Until time.Time }
	west, east := time.FixedZone("west", -5*3600), time.FixedZone("east", 5*3600)
	for until, ok := range map[time.Time]bool{
		time.Date(9999, 12, 31, 23, 59, 59, 0, west):     false,
		time.Date(1, 1, 1, 0, 0, 0, 0, east):             false,
		time.Date(9999, 12, 31, 18, 59, 59, 999e6, west): true,
		{}: true,
	} {
		_, err := parley.NewEvent[lease]("note", "leased").Record(lease{until})
		if ok && err != nil || !ok && !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("%v: got %v, want an error %v", until, err, !ok)
		}
	}
}

func TestAnExpirationThatRabbitMQDoesNotTakeIsInvalid(t *testing.T) {
	rec := parley.Record{Message: parley.Message{Exchange: "a", Kind: parley.KindCommand, Body: []byte(`{}`)}}
	for expiration, ok := range map[time.Duration]bool{0: true, time.Hour: true, (1<<32 - 1) * time.Millisecond: true, -1: false, 1 << 32 * time.Millisecond: false} {
		r := rec
		r.Expiration = expiration
		store := memory.NewStore()
		err := store.InTx(t.Context(), func(tx *memory.Tx) error {
			_, err := must(parley.NewOutbox(store, nil)).In(tx).Record(t.Context(), r)
			return err
		})
		if ok && err != nil || !ok && !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("expiration %v: got %v, want it accepted: %v", expiration, err, ok)
		}
	}
}
