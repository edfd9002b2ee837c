package jsonkeys

import (
	"encoding/json"
	"math/big"
	"reflect"
	"sync"
	"testing"
	"time"
)

type address struct {
	Street  string `json:"street_name"`
	Line2   string
	Country string `json:"ISO_code" wire:"countryISO"`
}

type base struct {
	CreatedAt time.Time
	Version   int `json:"version_no"`
}

type user struct {
	base
	ID          int64
	UserIDs     []int
	HTTPServer  string `json:",omitempty"`
	SHA256Sum   string
	Home        *address           `json:"home_address"`
	Others      []address          `json:"other_addresses"`
	ByRole      map[string]address `json:"by_role"`
	Any         any                `json:"any_value"`
	Raw         json.RawMessage    `json:"raw_value"`
	Kept        map[string]int     `json:"kept_map" wire:",keep"`
	Renamed     map[string]any     `wire:"as-is_x,keep"`
	Hidden      string             `json:"-"`
	Friend      *user              `json:"best_friend,omitempty"`
	Count       int                `json:"count_text,string"`
	unexported  int
	Balance     *big.Float `json:"balance_amount"`
	PhotoBase64 []byte
}

func example() user {
	return user{
		base:       base{CreatedAt: time.Date(2023, 6, 2, 10, 58, 58, 0, time.UTC), Version: 3},
		ID:         9007199254740993,
		UserIDs:    []int{1, 2},
		SHA256Sum:  "s",
		Home:       &address{"st", "l2", "DE"},
		Others:     []address{{Line2: "x"}},
		ByRole:     map[string]address{"first_owner": {Street: "s"}},
		Any:        map[string]any{"item_1": []any{map[string]any{"a_b": "c_d"}}},
		Raw:        json.RawMessage(`{"in_raw":1}`),
		Kept:       map[string]int{"u_1": 1},
		Renamed:    map[string]any{"k_1": map[string]any{"n_n": true}},
		Friend:     &user{ID: 2},
		Count:      5,
		unexported: 1,
		Balance:    big.NewFloat(1.5),
	}
}

func toWire(t *testing.T, typ reflect.Type, doc string) string {
	t.Helper()
	got, err := ShapeOf(typ).ToWire([]byte("x"), []byte(doc), Limits{})
	if err != nil {
		t.Fatalf("ToWire(%s): %v", doc, err)
	}
	return string(got[1:])
}

func fromWire(t *testing.T, typ reflect.Type, doc string) string {
	t.Helper()
	got, err := ShapeOf(typ).FromWire([]byte("x"), []byte(doc), Limits{})
	if err != nil {
		t.Fatalf("FromWire(%s): %v", doc, err)
	}
	return string(got[1:])
}

func TestToWireSpellsFieldsAsTheirTagsAndNamesSay(t *testing.T) {
	v := example()
	v.Friend = nil
	sent, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"createdAt":"2023-06-02T10:58:58.000000Z","versionNo":3,"id":9007199254740993,"userIds":[1,2],"sha256Sum":"s",` +
		`"homeAddress":{"streetName":"st","line2":"l2","countryISO":"DE"},` +
		`"otherAddresses":[{"streetName":"","line2":"x","countryISO":""}],` +
		`"byRole":{"firstOwner":{"streetName":"s","line2":"","countryISO":""}},` +
		`"anyValue":{"item1":[{"aB":"c_d"}]},"rawValue":{"inRaw":1},"keptMap":{"u_1":1},"as-is_x":{"k_1":{"n_n":true}},` +
		`"countText":"5","balanceAmount":"1.5","photoBase64":null}`
	if got := toWire(t, reflect.TypeFor[user](), string(sent)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestTypedValuesComeBackFromTheWireAsTheyWent(t *testing.T) {
	v := example()
	// Keys of maps are data to the original library: they are decoded in snake_case.
	v.ByRole = map[string]address{"owner": {Street: "s"}, "second_owner": {}}
	sent, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	typ := reflect.TypeFor[*user]()
	var back user
	if err := json.Unmarshal([]byte(fromWire(t, typ, toWire(t, typ, string(sent)))), &back); err != nil {
		t.Fatal(err)
	}
	v.unexported = 0
	v.Raw = json.RawMessage(`{"inRaw":1}`) // a raw field gets the bytes of the wire
	v.Friend.Raw, back.Friend.Raw = nil, nil
	if got, want := marshalled(t, back), marshalled(t, v); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func marshalled(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFromWireMatchesKeysIgnoringCaseAndUnderscores(t *testing.T) {
	type item struct {
		ItemID   int `json:"item_id"`
		Sha256   string
		Address1 string `json:"address1"`
		Exact    int    `json:"exact" wire:"wire-name"`
	}
	for doc, want := range map[string]string{
		`{"itemId":1}`:                     `{"item_id":1}`,
		`{"item_id":1}`:                    `{"item_id":1}`,
		`{"ITEM_ID":1}`:                    `{"item_id":1}`,
		`{"\u0069temId":1}`:                `{"item_id":1}`,
		`{"sha_256":"x","address_1":"y"}`:  `{"Sha256":"x","address1":"y"}`,
		`{"\u017fha256":"x"}`:              `{"Sha256":"x"}`, // long s: encoding/json folds it too
		`{"wire-name":1}`:                  `{"exact":1}`,
		`{"exact":1,"wire-name":2}`:        `{"exact":2}`,
		`{"Wire-Name":1}`:                  `{"exact":1}`,
		`{"unknownKey":{"aB":1},"x_Y":2}`:  `{"unknownKey":{"aB":1},"x_Y":2}`,
		`{"itemId":1,"ITEMID":666}`:        `{"item_id":1}`,
		`{"ITEMID":666,"itemId":1}`:        `{"item_id":1}`,
		`{"ITEMID":1,"Item_Id":2}`:         `{"item_id":2}`,
		`{"item_id":1,"z":0,"itemId":2}`:   `{"item_id":2,"z":0}`,
		`{"ITEMID":1,"itemId":2,"iTeM":3}`: `{"item_id":2,"iTeM":3}`,
	} {
		if got := fromWire(t, reflect.TypeFor[item](), doc); got != want {
			t.Errorf("%s: got %s, want %s", doc, got, want)
		}
	}
}

func TestFromWireLeavesEncodingJSONNothingToGuess(t *testing.T) {
	type id struct {
		ID int `json:"id"`
	}
	for _, doc := range []string{`{"id":1,"ID":2}`, `{"ID":2,"id":1}`, `{"Id":3,"id":1,"_id":2,"iD":4}`} {
		var v id
		if err := json.Unmarshal([]byte(fromWire(t, reflect.TypeFor[id](), doc)), &v); err != nil || v.ID != 1 {
			t.Errorf("%s: id is %d, %v", doc, v.ID, err)
		}
	}
}

type level2 struct {
	Deep, Shadowed, Tagged, Annulled int
	Twice                            string `json:"twice"`
}
type level1 struct {
	level2
	Shadowed string
	Also     int `json:"Tagged"`
}
type rival struct {
	Annulled2 int
	Twice     string `json:"twice"`
	Level     int    `json:"named"`
}
type Number int
type shared struct{ InBoth int }
type left struct{ shared }
type right struct{ shared }
type level3 struct {
	Untagged int
	Rival    int
}
type level3Tagged struct {
	Before int
	X      int `json:"Rival"`
}
type named struct{ InNamed int }
type promoting struct {
	level1
	*rival
	left
	right
	level3
	level3Tagged
	Number
	named  `json:"named_struct"`
	Fields map[string]int `json:"bad\"name"`
	Dash   int            `json:"-,"`
	Skip   int            `json:"-"`
	small  int
}

type textKey struct{ s string }

func (k textKey) MarshalText() ([]byte, error)  { return []byte(k.s), nil }
func (k *textKey) UnmarshalText(b []byte) error { k.s = string(b); return nil }

type writesItself struct {
	UserName string `json:"user_name" wire:"ignored"`
}

func (w writesItself) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"own_key": w.UserName})
}

func TestTypesWithTheirOwnJSONAreUntyped(t *testing.T) {
	type outer struct {
		At    time.Time
		Own   writesItself
		ByKey map[textKey]address
	}
	typ := reflect.TypeFor[outer]()
	doc := `{"At":"t","Own":{"own_key":1},"ByKey":{"e8_a":{"Line2":"x"}}}`
	if got, want := toWire(t, typ, doc), `{"at":"t","own":{"ownKey":1},"byKey":{"e8_a":{"line2":"x"}}}`; got != want {
		t.Errorf("ToWire: got %s, want %s", got, want)
	}
	// It reads JSON by its fields, so these are matched.
	doc = `{"own":{"userName":1},"byKey":{"e8A":{"line_2":"x"}}}`
	if got, want := fromWire(t, typ, doc), `{"Own":{"user_name":1},"ByKey":{"e8A":{"Line2":"x"}}}`; got != want {
		t.Errorf("FromWire: got %s, want %s", got, want)
	}
	if ShapeOf(reflect.TypeFor[json.Number]()) != nil {
		t.Error("json.Number has a shape")
	}
}

func TestRecursiveTypesHaveShapes(t *testing.T) {
	type list []list
	type dict map[string]dict
	type pointer *pointer
	type tree struct {
		NodeName string
		Left     *tree
		ByName   map[string][]tree
	}
	ShapeOf(reflect.TypeFor[list]())
	ShapeOf(reflect.TypeFor[pointer]())
	if got := toWire(t, reflect.TypeFor[dict](), `{"a_b":{"c_d":{}}}`); got != `{"aB":{"cD":{}}}` {
		t.Errorf("dict: %s", got)
	}
	got := fromWire(t, reflect.TypeFor[tree](), `{"nodeName":1,"left":{"left":{"node_name":2}},"byName":{"aB":[{"nodename":3}]}}`)
	if want := `{"NodeName":1,"Left":{"Left":{"NodeName":2}},"ByName":{"a_b":[{"NodeName":3}]}}`; got != want {
		t.Errorf("tree: got %s, want %s", got, want)
	}
}

func TestValuesOfAnUnexpectedKindAreUntyped(t *testing.T) {
	typ := reflect.TypeFor[[]address]()
	if got := fromWire(t, typ, `{"streetName":1}`); got != `{"street_name":1}` {
		t.Errorf("object for a list: %s", got)
	}
	if got := fromWire(t, reflect.TypeFor[address](), `[{"line2":1}]`); got != `[{"line_2":1}]` {
		t.Errorf("list for a struct: %s", got)
	}
}

func TestShapeOfMayBeCalledFromManyGoroutines(t *testing.T) {
	type fresh struct {
		ItemID int
		Next   *fresh
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := ShapeOf(reflect.TypeFor[fresh]()).FromWire(nil, []byte(`{"next":{"itemId":1}}`), Limits{})
			if err != nil || string(got) != `{"Next":{"ItemID":1}}` {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
	wg.Wait()
}
