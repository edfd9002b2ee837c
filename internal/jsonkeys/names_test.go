package jsonkeys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type priced struct {
	OrderID int             `json:"order_id"`
	Prices  map[string]int  `json:"prices_by_sku"`
	Extra   any             `json:"extra,omitempty"`
	Raw     json.RawMessage `json:"raw,omitempty"`
}

func encode(t *testing.T, typ reflect.Type, doc string) (wire string, names *Names) {
	t.Helper()
	got, names, err := ShapeOf(typ).Encode([]byte("x"), []byte(doc), nil, Limits{})
	if err != nil {
		t.Fatalf("Encode(%s): %v", doc, err)
	}
	return string(got[1:]), names
}

func decode(t *testing.T, typ reflect.Type, wire, text string) string {
	t.Helper()
	names, err := ParseNames(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ShapeOf(typ).Decode(nil, []byte(wire), nil, names, Limits{})
	if err != nil {
		t.Fatalf("Decode(%s): %v", wire, err)
	}
	return string(got)
}

func TestKeysOfDataComeBackAsTheyWereWritten(t *testing.T) {
	const doc = `{"order_id":1,"prices_by_sku":{"9e3f4a89-11aa-4bbb-8ccc-0123456789ab":1,"EUR":2,"SKU_12":3,"sku12":4,"_x":5,"a_b_c":6,"x86_64":7},` +
		`"extra":{"user_id":1,"sha256":[{"camelCase":{"Ünï_cöde":1}}]},"raw":{"in_raw":1,"inRaw2":2}}`
	wire, names := encode(t, reflect.TypeFor[priced](), doc)
	if !strings.Contains(wire, `"orderId":1,"pricesBySku":{"9e3f4a89-11aa-4bbb-8ccc-0123456789ab":1,"EUR":2,"SKU12":3,"sku12":4,"X":5,"aBC":6,"x8664":7}`) {
		t.Errorf("on the wire: %s", wire)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[priced](), reflect.TypeFor[any](), reflect.TypeFor[json.RawMessage]()} {
		if got := decode(t, typ, wire, names.String()); got != doc {
			t.Errorf("%v\n got %s\nwant %s\nwith %s", typ, got, doc, names)
		}
	}
}

func TestNamesAreLeftOutWhenTheRulesChangeNoKeyOfTheData(t *testing.T) {
	for _, doc := range []string{
		`{"order_id":1,"prices_by_sku":null}`, `{"order_id":1,"prices_by_sku":{"eur":1,"dollar_":2}}`,
	} {
		if _, names := encode(t, reflect.TypeFor[priced](), doc); names != nil {
			t.Errorf("%s: names %s", doc, names)
		}
	}
}

func TestNamesListOnlyWhatDiffersFromTheWire(t *testing.T) {
	for doc, want := range map[string]string{
		`{"EUR":1,"sha256":2}`:                  `verbatim`,
		`{"user_id":1,"EUR":2}`:                 `{"userId":"user_id"}`,
		`[{"a_b":1},{"a_b":2},{"a_b_c":3}]`:     `{"aB":"a_b","aBC":"a_b_c"}`,
		`[{"user_id":1},{"userId":2}]`:          `verbatim`, // no key is renamed
		`[{"userId":1},{"user_id":2},{"x":{}}]`: `verbatim`,
	} {
		wire, names := encode(t, reflect.TypeFor[any](), doc)
		if names.String() != want {
			t.Errorf("%s: names %s, want %s", doc, names, want)
		}
		if got := decode(t, reflect.TypeFor[any](), wire, names.String()); got != doc {
			t.Errorf("%s was read as %s", doc, got)
		}
	}
}

func TestDataKeysAreNotRenamedWhenTheirListIsTooLongForAHeader(t *testing.T) {
	var doc strings.Builder
	doc.WriteString(`{"order_id":1,"prices_by_sku":{"SKU_0":0`)
	for n := range 1000 {
		fmt.Fprintf(&doc, `,"SKU_1%d":%d`, n, n)
	}
	doc.WriteString("}}")
	wire, names := encode(t, reflect.TypeFor[priced](), doc.String())
	if !strings.Contains(wire, `"SKU_1999":999`) || !strings.HasPrefix(wire, `{"orderId":1,"pricesBySku":{"SKU_0":0`) {
		t.Errorf("on the wire: %.200s", wire)
	}
	if want := `{"orderId":"order_id","pricesBySku":"prices_by_sku"}`; names.String() != want {
		t.Errorf("names %s, want %s", names, want)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[priced](), reflect.TypeFor[any]()} {
		if got := decode(t, typ, wire, names.String()); got != doc.String() {
			t.Errorf("%v: read as %.200s", typ, got)
		}
	}
}

func TestTwoKeysThatBecomeOneAreAnErrorThatNamesBoth(t *testing.T) {
	for doc, want := range map[string][2]string{
		`{"user_id":1,"x":0,"userId":2}`: {"user_id", "userId"},
		`{"a":[{"SKU_1":1,"SKU1":2}]}`:   {"SKU_1", "SKU1"},
		`{"a":1,"a":2}`:                  {"a", "a"},
		`{"a":1,"\u0061":2}`:             {"a", "a"},
		`{"n1":0,"n2":0,"n3":0,"n4":0,"n5":0,"n6":0,"n7":0,"n8":0,"n_9":0,"n9":0}`: {"n_9", "n9"},
	} {
		_, _, err := ShapeOf(reflect.TypeFor[any]()).Encode(nil, []byte(doc), nil, Limits{})
		c, ok := errors.AsType[*CollisionError](err)
		if !ok || c.First != want[0] || c.Second != want[1] {
			t.Errorf("%s: %v, want a collision of %q", doc, err, want)
			continue
		}
		if !strings.Contains(err.Error(), want[0]) || !strings.Contains(err.Error(), want[1]) {
			t.Errorf("%v does not name both keys", err)
		}
	}
}

func TestNamesOfStrangersAreReadOrRefused(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "verbatim": true, "{}": true, `{"a":"b"}`: true,
		"null": false, "[]": false, `{"a":1}`: false, "verbatim2": false, "{": false,
	} {
		if _, err := ParseNames(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAnyDataSurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[a-cA-C0-2_é]{0,5}`)
		value := rapid.MapOf(key, rapid.MapOf(key, rapid.Int8()))
		doc, err := json.Marshal(map[string]any{"order_id": 1, "prices_by_sku": rapid.MapOf(key, rapid.Int8()).Draw(t, "prices"), "extra": value.Draw(t, "extra")})
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range []reflect.Type{reflect.TypeFor[priced](), reflect.TypeFor[any]()} {
			wire, names, err := ShapeOf(typ).Encode(nil, doc, nil, Limits{})
			if _, collides := errors.AsType[*CollisionError](err); collides {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := ParseNames(names.String())
			if err != nil {
				t.Fatal(err)
			}
			back, err := ShapeOf(typ).Decode(nil, wire, nil, parsed, Limits{})
			if err != nil || string(back) != string(doc) {
				t.Fatalf("%v: %v\nsent %s\nwire %s\nback %s\nwith %s", typ, err, doc, wire, back, names)
			}
		}
	})
}

// FuzzNames reads documents with the names of any sender, and writes and reads documents with data.
func FuzzNames(f *testing.F) {
	f.Add(`{"userId":"user_id"}`, []byte(`{"userId":1,"EUR":{"a_b":[{"aB":1}]}}`))
	f.Add(`verbatim`, []byte(`{"prices_by_sku":{"SKU_1":1,"sku1":2},"raw":{"x_1":{}}}`))
	f.Add(`{"":"\u0000"}`, []byte(`{"":1,"_":{"__a":2}}`))
	f.Fuzz(func(t *testing.T, text string, doc []byte) {
		for _, typ := range []reflect.Type{reflect.TypeFor[priced](), reflect.TypeFor[any]()} {
			s := ShapeOf(typ)
			if names, err := ParseNames(text); err == nil {
				if out, err := s.Decode(nil, doc, nil, names, Limits{}); err == nil && !json.Valid(out) {
					t.Errorf("%s with %s was read as %s", doc, text, out)
				}
			}
			wire, names, err := s.Encode(nil, doc, nil, Limits{})
			if err != nil {
				continue
			}
			parsed, err := ParseNames(names.String())
			if err != nil || len(names.String()) > maxNames+2 {
				t.Fatalf("names %s: %v", names, err)
			}
			back, err := s.Decode(nil, wire, nil, parsed, Limits{})
			if err != nil {
				t.Fatalf("%s, written as %s, cannot be read: %v", doc, wire, err)
			}
			if typ.Kind() == reflect.Interface && string(compactJSON(back)) != string(compactJSON(doc)) {
				t.Errorf("%s, written as %s with %q, was read as %s", doc, wire, names, back)
			}
		}
	})
}

// compactJSON returns doc in one form for equal documents.
func compactJSON(doc []byte) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	out, _ := json.Marshal(v)
	return out
}
