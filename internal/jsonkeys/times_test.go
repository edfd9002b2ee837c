package jsonkeys_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/parley-go/parley/internal/jsonkeys"
)

type timed struct {
	At    time.Time
	Maybe *time.Time
	Took  time.Duration
	All   map[string]time.Duration
	List  []time.Time
}

func TestTimesAndDurationsTravelAsDjangoWritesThem(t *testing.T) {
	shape := jsonkeys.ShapeOf(reflect.TypeFor[timed]())
	in := timed{
		At:   time.Date(2023, 6, 2, 15, 58, 58, 0, time.FixedZone("", 5*3600)),
		Took: 25*time.Hour + time.Minute + time.Second + 500*time.Microsecond,
		All:  map[string]time.Duration{"a": -5 * time.Second, "b": 0},
		List: []time.Time{time.Date(2023, 6, 2, 10, 58, 58, 340174999, time.UTC)},
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := shape.ToWire(nil, text, jsonkeys.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"at":"2023-06-02T10:58:58.000000Z","maybe":null,"took":"P1DT01H01M01.000500S","all":{"a":"-P0DT00H00M05S","b":"P0DT00H00M00S"},"list":["2023-06-02T10:58:58.340174Z"]}`
	if string(wire) != want {
		t.Errorf("on the wire\n got %s\nwant %s", wire, want)
	}
	back, err := shape.FromWire(nil, wire, jsonkeys.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out timed
	if err := json.Unmarshal(back, &out); err != nil {
		t.Fatal(err)
	}
	if !out.At.Equal(in.At) || out.Took != in.Took || out.All["a"] != in.All["a"] {
		t.Errorf("decoded as %+v", out)
	}
}

func TestTimesAndDurationsAreReadInOtherForms(t *testing.T) {
	shape := jsonkeys.ShapeOf(reflect.TypeFor[timed]())
	at := time.Date(2023, 6, 2, 10, 58, 58, 340e6, time.UTC)
	for text, want := range map[string]timed{
		`{"at": "2023-06-02T10:58:58.340"}`:       {At: at},
		`{"at": "2023-06-02 10:58:58.34Z"}`:       {At: at},
		`{"at": "2023-06-02T15:58:58.340+05:00"}`: {At: at},
		`{"at": "2023-06-02T15:58:58.340+0500"}`:  {At: at},
		`{"took": "PT1.5S"}`:                      {Took: 1500 * time.Millisecond},
		`{"took": "P2W"}`:                         {Took: 14 * 24 * time.Hour},
		`{"took": 1500}`:                          {Took: 1500},
	} {
		back, err := shape.FromWire(nil, []byte(text), jsonkeys.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var got timed
		if err := json.Unmarshal(back, &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !got.At.Equal(want.At) || got.Took != want.Took {
			t.Errorf("%s read as %+v", text, got)
		}
	}
	for _, text := range []string{`"P"`, `"PT"`, `"1 day"`, `"P1"`, `"PT-1S"`, `"P9999999999999D"`, `"PT1S2"`, `"P1DT"`} {
		back, err := shape.FromWire(nil, []byte(`{"took": `+text+`}`), jsonkeys.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var got timed
		if err := json.Unmarshal(back, &got); err == nil {
			t.Errorf("duration %s was read as %v", text, got.Took)
		}
	}
}

// The option string writes a number in quotes, which must not be read as a duration of Django.
func TestADurationWithTheStringOptionSurvivesTheWire(t *testing.T) {
	took := 1500 * time.Millisecond
	pointer := &took
	type payload struct {
		Took   time.Duration   `json:"took,string"`
		Ptr    *time.Duration  `json:"ptr,omitempty,string"`
		Deep   **time.Duration `json:"deep,string"` // encoding/json ignores the option here
		List   []time.Duration `json:"list,string"` // and here
		At     time.Time       `json:"at,string"`   // and here
		Count  int64           `json:"count,string"`
		Share  float64         `json:"share,string"`
		Active bool            `json:"active,string"`
		Name   string          `json:"name,string"`
		Plain  time.Duration   `json:"plain"`
	}
	at := time.Date(2023, 6, 2, 10, 58, 58, 340e6, time.UTC)
	in := payload{took, pointer, &pointer, []time.Duration{took}, at, 7, .5, true, "x", took}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	shape := jsonkeys.ShapeOf(reflect.TypeFor[payload]())
	wire, err := shape.ToWire(nil, text, jsonkeys.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"took":"1500000000","ptr":"1500000000","deep":"P0DT00H00M01.500000S","list":["P0DT00H00M01.500000S"],"at":"2023-06-02T10:58:58.340000Z",` +
		`"count":"7","share":"0.5","active":"true","name":"\"x\"","plain":"P0DT00H00M01.500000S"}`
	if string(wire) != want {
		t.Errorf("on the wire\n got %s\nwant %s", wire, want)
	}
	back, err := shape.FromWire(nil, wire, jsonkeys.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out payload
	if err := json.Unmarshal(back, &out); err != nil {
		t.Fatalf("%v in %s", err, back)
	}
	if !reflect.DeepEqual(in, out) {
		t.Errorf("decoded as %+v, want %+v", out, in)
	}
}
