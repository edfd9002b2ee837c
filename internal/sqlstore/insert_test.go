package sqlstore

import (
	"testing"

	"github.com/parley-go/parley"
)

func TestABatchIsBoundByRowsAndBytes(t *testing.T) {
	big := parley.Record{Message: parley.Message{Body: make([]byte, insertBytes)}}
	conditional := parley.Record{UnlessTags: map[string]string{"a": "b"}}
	small := make([]parley.Record, insertRows+1)
	for _, c := range []struct {
		records []parley.Record
		want    int
	}{
		{[]parley.Record{big, big}, 1},
		{[]parley.Record{small[0], small[1], conditional}, 2},
		{[]parley.Record{conditional, small[0]}, 0},
		{small, insertRows},
	} {
		if got := batchLen(c.records); got != c.want {
			t.Errorf("%d records go into one statement, want %d", got, c.want)
		}
	}
}
