package postgres_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

func TestAKeptDeliveryIsClaimedAsItWas(t *testing.T) {
	eachDriver(t, nil, func(t *testing.T, f failureCase) {
		o := failed("hello")
		o.Message.Body = []byte{0, 1, 254, 255}
		o.Message.CorrelationID = "a\x00b\xff"
		o.Message.Headers["nested"] = []any{map[string]any{"t": time.Unix(9, 0).UTC()}, nil, true}
		o.History = parley.History{
			Attempts: 3, Replays: 2, Retries: 1, FirstError: "first\x00", LastError: "last", Reason: "because",
			FirstFailure: time.Unix(1, 0).UTC(), LastFailure: time.Unix(2, 0).UTC(),
		}
		f.keep(t, o)
		rows := f.claim(t, parley.FailureClaimOptions{})
		if len(rows) != 1 {
			t.Fatalf("claimed %d rows, want 1", len(rows))
		}
		got := rows[0]
		want, err := parley.EncodeEnvelope(&o.Message)
		if err != nil {
			t.Fatal(err)
		}
		if envelope, err := parley.EncodeEnvelope(&got.Message); err != nil || !bytes.Equal(envelope, want) || !bytes.Equal(got.Message.Body, o.Message.Body) {
			t.Errorf("claimed %+v (%v), want %+v", got.Message, err, o.Message)
		}
		o.History.FirstError = "first\uFFFD" // a text column cannot store NUL
		if got.History != o.History || got.Begun != 1 || got.Number != 1 {
			t.Errorf("claimed with history %+v, begun %d, claim %d; want %+v, 1, 1", got.History, got.Begun, got.Number, o.History)
		}
	})
}
