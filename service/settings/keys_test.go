package settings

import (
	"reflect"
	"testing"

	"github.com/parley-go/parley"
)

func TestTheKeysOfADjangoProjectsSettingAreRules(t *testing.T) {
	got := Keys{IgnoreKeys: "user_id, raw_data,", IgnoreFields: "free_form", NoUnderscoreBeforeNumber: true}.Rules()
	want := &parley.KeyRules{IgnoreKeys: []string{"user_id", "raw_data"}, IgnoreFields: []string{"free_form"}, NoUnderscoreBeforeNumber: true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (Keys{}).Rules(); got != nil {
		t.Errorf("without exceptions: %+v, want nil", got)
	}
}

func init() {
	type sample = struct {
		yaml, text string
		want       any
	}
	samples["keys.ignore_keys"] = sample{"user_id,raw_data", "user_id,raw_data", "user_id,raw_data"}
	samples["keys.ignore_fields"] = sample{"free_form", "free_form", "free_form"}
	samples["keys.no_underscore_before_number"] = sample{"true", "true", true}
}
