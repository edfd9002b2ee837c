package settings

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTheSchemaDescribesEverySetting(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields() {
		at := root
		for name := range strings.SplitSeq(f.key, ".") {
			properties, _ := at["properties"].(map[string]any)
			at, _ = properties[name].(map[string]any)
		}
		if at["description"] == nil {
			t.Errorf("the schema lacks %s", f.key)
		}
	}
}
