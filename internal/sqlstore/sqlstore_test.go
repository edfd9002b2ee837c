package sqlstore

import (
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChunksKeepAllIDsInOrder(t *testing.T) {
	ids := make([]int64, 2*chunk+1)
	for i := range ids {
		ids[i] = int64(i)
	}
	var lists []string
	err := Chunks(ids, func(list string) error {
		lists = append(lists, strings.Trim(list, "()"))
		return nil
	})
	if err != nil || len(lists) != 3 {
		t.Fatalf("%d ids are in %d lists (%v), want 3", len(ids), len(lists), err)
	}
	if got := strings.Split(strings.Join(lists, ","), ","); len(got) != len(ids) || got[len(got)-1] != strconv.Itoa(2*chunk) {
		t.Errorf("the lists hold %d ids up to %s", len(got), got[len(got)-1])
	}
	if err := Chunks(nil, func(string) error { return errLater }); err != nil {
		t.Errorf("no ids: %v", err)
	}
}
