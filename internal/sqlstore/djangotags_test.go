package sqlstore

import (
	"encoding/json"
	"maps"
	"testing"
)

func TestDjangoTagsAreWrittenAsPythonWritesThem(t *testing.T) {
	tags := map[string]string{"a": "b", "ключ": "é<>&/'😀", "c\"\\": "\n\r\t\f\b\x01\x7f"}
	// json.dumps(dict(sorted(tags.items()))) of Python 3.11
	want := `{"a": "b", "c\"\\": "\n\r\t\f\b\u0001\u007f", "\u043a\u043b\u044e\u0447": "\u00e9<>&/'\ud83d\ude00"}`
	got := djangoTags(tags)
	if got != want {
		t.Errorf("got %v\nwant %s", got, want)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(want), &back); err != nil || !maps.Equal(back, tags) {
		t.Errorf("read as %v (%v)", back, err)
	}
	if got := djangoTags(nil); got != nil {
		t.Errorf("without tags: %v, want nil", got)
	}
}
