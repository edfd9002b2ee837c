package parley_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-go/parley"
)

func TestAnEnvelopeGivesBackEveryPropertyAndHeaderExactly(t *testing.T) {
	m := parley.Message{
		Exchange: "user\xff", RoutingKey: "a.\x00b", ID: "id", Kind: parley.KindCall, AppID: "app", CorrelationID: "c", ReplyTo: "r",
		ContentType: "t", ContentEncoding: "gzip", UserID: "guest", Priority: 255, Expiration: 90 * time.Second,
		Timestamp: time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC),
		Headers: map[string]any{
			"": nil, "bool": true, "no": false, "text": "\xff\x00", "bytes": []byte{0, 255}, "int": int64(math.MinInt64), "float": math.Inf(-1),
			"time": time.Unix(-62135596801, 5).UTC(), "zero": time.Time{}, "table": map[string]any{"a": []any{map[string]any{}, []any{}}}, "list": []any{int64(1), "x", nil},
		},
	}
	b, err := parley.EncodeEnvelope(&m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parley.DecodeEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

func TestAnEnvelopeRefusesWhatNoBrokerDelivers(t *testing.T) {
	deep := any("x")
	for range 100 {
		deep = []any{deep}
	}
	for name, value := range map[string]any{"a channel": make(chan int), "too deep": deep} {
		m := parley.Message{Headers: map[string]any{"h": value}}
		if _, err := parley.EncodeEnvelope(&m); !errors.Is(err, parley.ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", name, err)
		}
	}
}

func TestCleanTextFitsEveryTextColumn(t *testing.T) {
	if got := parley.CleanText("a\x00b\xffc", 100); got != "a\uFFFDb\uFFFDc" {
		t.Errorf("got %q", got)
	}
	if got := parley.CleanText(strings.Repeat("ä", 10), 5); got != "ää" {
		t.Errorf("got %q", got)
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	m := parley.Message{Exchange: "user", Headers: map[string]any{"a": []any{int64(1), map[string]any{"b": time.Unix(1, 2)}}}}
	b, _ := parley.EncodeEnvelope(&m)
	f.Add(b)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parley.DecodeEnvelope(b)
		if err != nil {
			return
		}
		again, err := parley.EncodeEnvelope(&m)
		if err != nil {
			t.Fatalf("decoded %+v cannot be encoded: %v", m, err)
		}
		got, err := parley.DecodeEnvelope(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, cmp.Comparer(sameFloat)); diff != "" {
			t.Errorf("decoded again (-want +got):\n%s", diff)
		}
	})
}

// sameFloat holds NaN equal to itself.
func sameFloat(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
