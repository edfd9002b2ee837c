package jsonkeys

import (
	"reflect"
	"testing"
)

func TestFieldsAreThoseOfEncodingJSON(t *testing.T) {
	v := promoting{rival: &rival{}, small: 1}
	in, err := parse([]byte(marshalled(t, v)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range goFields(reflect.TypeFor[promoting]()) {
		names = append(names, f.name)
	}
	if !reflect.DeepEqual(names, in.keys) {
		t.Errorf("\n got %v\njson %v", names, in.keys)
	}
}

func TestAWireTagWinsOverTheNameOfAnotherField(t *testing.T) {
	type swapped struct {
		A     int `json:"a" wire:"b"`
		B     int `json:"b" wire:"a"`
		Blank int `json:"_"`
	}
	typ := reflect.TypeFor[swapped]()
	if got := toWire(t, typ, `{"a":1,"b":2}`); got != `{"b":1,"a":2}` {
		t.Errorf("ToWire: %s", got)
	}
	if got := fromWire(t, typ, `{"b":1,"a":2,"":3,"_":4,"__":5}`); got != `{"a":1,"b":2,"":3,"_":4,"__":5}` {
		t.Errorf("FromWire: %s", got)
	}
}

func TestGoNamesBecomeWireNames(t *testing.T) {
	for name, want := range map[string]string{
		"ID": "id", "UserID": "userId", "HTTPServer": "httpServer", "UserIDs": "userIds", "IDs": "ids",
		"Name": "name", "A": "a", "URLPath": "urlPath", "Sha256": "sha256", "SHA256Sum": "sha256Sum",
		"S3Key": "s3Key", "User_Name": "userName", "OAuth2Token": "oAuth2Token", "IsOK": "isOk",
		"ДатаРождения": "датаРождения", "ItemIDsByURL": "itemIdsByUrl", "AsIs": "asIs", "ABTest": "abTest",
	} {
		if got := wireName(name); got != want {
			t.Errorf("wireName(%q) = %q, want %q", name, got, want)
		}
	}
}
