package parley_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/parleytest"
)

type sms struct {
	PhoneNumber string
	Text        string
}

var sendSMS = parley.NewCommand[sms]("sms", "")

func TestSendReportsWhetherTheCommandReachedAQueue(t *testing.T) {
	ctx := t.Context()
	b := memory.NewBroker(nil)
	if err := parley.Send(ctx, b, sendSMS, sms{}); !errors.Is(err, parley.ErrUnroutable) {
		t.Errorf("no queue is bound: %v, want ErrUnroutable", err)
	}
	if err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: "q"}}, Bindings: []parley.Binding{{Queue: "q", Exchange: "sms"}}}); err != nil {
		t.Fatal(err)
	}
	if err := parley.Send(ctx, b, sendSMS, sms{"998", "hi"}); err != nil {
		t.Errorf("a queue is bound: %v", err)
	}
	b.RejectNext(1)
	if err := parley.Send(ctx, b, sendSMS, sms{}); !errors.Is(err, parley.ErrRejected) {
		t.Errorf("rejected: %v", err)
	}
	b.LoseConfirms(1)
	if err := parley.Send(ctx, b, sendSMS, sms{}); !errors.Is(err, parley.ErrUnknown) {
		t.Errorf("confirm lost: %v", err)
	}
	m := b.Published()[1]
	if want := `{"phoneNumber":"998","text":"hi", "meta": {}}`; string(m.Body) != want {
		t.Errorf("body %s\nwant %s", m.Body, want)
	}
}

func TestExpiryIsCheckedAndWrittenWithAFraction(t *testing.T) {
	at := time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)
	rec, err := sendSMS.Record(sms{}, parley.WithExpiresAt(at))
	if err != nil || !strings.Contains(string(rec.Body), `"meta": {"expiredTime": "2099-01-02T03:04:05.000Z"}`) {
		t.Errorf("body %s (%v)", rec.Body, err)
	}
	for name, options := range map[string][]parley.SendTxOption{
		"both":     {parley.WithExpiresIn(time.Minute), parley.WithExpiresAt(at)},
		"past":     {parley.WithExpiresAt(time.Now().Add(-time.Second))},
		"negative": {parley.WithExpiresIn(-1)},
	} {
		if _, err := sendSMS.Record(sms{}, options...); !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestExpiredCommandIsNotStarted(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		parley.OnCommand(s.router, sendSMS, func(_ context.Context, c parley.Command[sms]) error {
			s.note(c.Delivery)
			return nil
		})
	}, func(s *stage) {
		m := parleytest.NewCommandMessage(t, sendSMS, sms{Text: "x"}, parley.WithExpiresIn(time.Second))
		late := parleytest.NewCommandMessage(t, sendSMS, sms{Text: "late"}, parley.WithExpiresIn(time.Second))
		if err := s.broker.Declare(s.ctx, parley.Topology{Bindings: []parley.Binding{{Queue: "q", Exchange: "sms"}}, Exchanges: []parley.Exchange{{Name: "sms"}}}); err != nil {
			t.Fatal(err)
		}
		s.publish(m)
		s.wait(2100 * time.Millisecond)
		s.publish(late)
		s.wait(time.Second)
		s.wantOutcomes(parley.OutcomeHandled, parley.OutcomeExpired)
	})
}

func TestArgumentsOfACommandMustBeNamed(t *testing.T) {
	_, list := parley.NewCommand[[]int]("sms", "").Record([]int{1})
	_, meta := parley.NewCommand[map[string]any]("sms", "").Record(map[string]any{"meta": 1})
	for name, err := range map[string]error{"list": list, "meta": meta} {
		if !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestAnArgumentThatIsReadAsMetaIsInvalid(t *testing.T) {
	type tagged struct {
		M string `json:"Meta"`
	}
	if _, err := parley.NewCommand[tagged]("a", "b").Record(tagged{"x"}); !errors.Is(err, parley.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	for _, key := range []string{"meta", "Meta", "_meta"} {
		if _, err := parley.NewCommand[any]("a", "b").Record(map[string]any{key: "x"}); !errors.Is(err, parley.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", key, err)
		}
	}
}

func TestTheMetadataAreNoArgumentOfAnUntypedCommand(t *testing.T) {
	command := parley.NewCommand[any]("a", "b")
	rec, err := command.Record(map[string]any{"x": "y"})
	if err != nil {
		t.Fatal(err)
	}
	var got any
	r := parley.NewRouter()
	parley.OnCommand(r, command, func(_ context.Context, c parley.Command[any]) error {
		got = c.Args
		return nil
	})
	if err := r.Dispatch(t.Context(), dispatched(rec)); err != nil {
		t.Fatal(err)
	}
	if again, err := command.Record(got); err != nil || string(again.Body) != string(rec.Body) {
		t.Errorf("the arguments %v were forwarded as %s (%v), want %s", got, again.Body, err, rec.Body)
	}
}
