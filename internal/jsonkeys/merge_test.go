package jsonkeys

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhenKeysCollideTheLaterValueStandsAtThePlaceOfTheFirst(t *testing.T) {
	for doc, want := range map[string]string{
		`{"a_b":1,"c":2,"aB":3}`:                  `{"aB":3,"c":2}`,
		`{ "a_b" : 1 , "c":2, "aB" :  [3] }`:      `{ "aB" : [3] , "c":2 }`,
		`{"a":1,"\u0061":2}`:                      `{"a":2}`,
		`{"aB":1,"a_b":2,"aB":3}`:                 `{"aB":2}`, // json.loads has merged the two "aB" before
		`{"x":{"a_b":1,"aB":{"c_d":1,"cD":2}}}`:   `{"x":{"aB":{"cD":2}}}`,
		`[{"a_b":1,"aB":2},{"aB":1},{"a_b":"q"}]`: `[{"aB":2},{"aB":1},{"aB":"q"}]`,
	} {
		wantDocument(t, "Camelize", doc, want, Camelize, nil)
	}
}

func TestCollisionsAreFoundInObjectsWithManyKeys(t *testing.T) {
	var doc, want []string
	for i := range 5000 {
		doc = append(doc, fmt.Sprintf(`"key_x%d":%d`, i, i))
		want = append(want, fmt.Sprintf(`"keyX%d":%d`, i, i))
	}
	doc = append(doc, `"keyX17":"late"`)
	want[17] = `"keyX17":"late"`
	wantDocument(t, "Camelize", "{"+strings.Join(doc, ",")+"}", "{"+strings.Join(want, ",")+"}", Camelize, nil)
}
