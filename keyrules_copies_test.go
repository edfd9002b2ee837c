package parley_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/parley-go/parley"
)

var counted = parley.NewEvent[map[string]int]("user", "k")

var countedData = map[string]int{"EUR": 1, "user_id": 2, "sku12": 3}

// countedMessage is an event whose data keys need the header.
func countedMessage(t *testing.T) parley.Message {
	t.Helper()
	rec, err := counted.Record(countedData)
	if err != nil {
		t.Fatal(err)
	}
	rec.Body = parley.FinishBody(rec.Kind, 1, rec.Body)
	return rec.Message
}

// onCounted handles counted and fails as outcome says; what it received is appended to got.
func onCounted(r *parley.Router, got *[]map[string]int, outcome func(attempt int) error) {
	parley.On(r, counted, func(_ context.Context, e parley.Event[map[string]int]) error {
		*got = append(*got, e.Payload)
		return outcome(len(*got))
	})
}

func wantCounted(t *testing.T, got []map[string]int, times int) {
	t.Helper()
	if len(got) != times {
		t.Errorf("handled %d times, want %d", len(got), times)
	}
	for n, data := range got {
		if !reflect.DeepEqual(data, countedData) {
			t.Errorf("attempt %d got %v, want %v", n+1, data, countedData)
		}
	}
}

func TestKeysOfDataAreUnchangedAfterRetriesParkingAndReplay(t *testing.T) {
	outcome := func(attempt int) error {
		switch attempt {
		case 1, 2, 3:
			return errors.New("again")
		case 4:
			return parley.Park(errors.New("parked"))
		}
		return nil
	}
	t.Run("queues", func(t *testing.T) {
		var got []map[string]int
		onStage(t, nil, func(s *stage) { onCounted(s.router, &got, outcome) }, func(s *stage) {
			s.publish(countedMessage(t))
			s.wait(time.Hour)
			if n, err := parley.ReplayParked(s.ctx, s.broker, "q", nil); n != 1 || err != nil {
				t.Errorf("replayed %d: %v", n, err)
			}
			s.wait(time.Minute)
		})
		wantCounted(t, got, 5)
	})
	t.Run("rows", func(t *testing.T) {
		var got []map[string]int
		onRows(t, nil, func(s *rowStage) { onCounted(s.router, &got, outcome) }, func(s *rowStage) {
			s.publish(countedMessage(t))
			s.wait(time.Hour)
			if n, err := s.table.Replay(s.ctx, parley.FailureQuery{Consumer: "q"}, 0); n != 1 || err != nil {
				t.Errorf("replayed %d: %v", n, err)
			}
			s.wait(2 * time.Minute)
		})
		wantCounted(t, got, 5)
	})
}

func TestAConsumerReadsOtherLibrariesByItsKeyRules(t *testing.T) {
	cfg := &parley.ConsumerConfig{KeyRules: &parley.KeyRules{NoUnderscoreBeforeNumber: true, IgnoreFields: []string{"free_form"}}}
	want := map[string]any{"item1": "a", "user_id": "b", "free_form": map[string]any{"userId": "c"}}
	got := []map[string]any{}
	onStage(t, cfg, func(s *stage) {
		parley.OnPattern(s.router, "user", "#", func(_ context.Context, e parley.Event[map[string]any]) error {
			got = append(got, e.Payload)
			return nil
		})
	}, func(s *stage) {
		s.publish(text(`{"payload": {"item1": "a", "userId": "b", "freeForm": {"userId": "c"}}}`))
		s.wait(time.Second)
	})
	if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
