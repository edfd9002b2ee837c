package demo

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheDemoSucceedsOnACorrectStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newMemoryStorage()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Run(t.Context(), &out, s); err != nil {
			t.Errorf("the demo failed: %v\n%s", err, &out)
		}
		wantInOrder(t, out.String(), "rolled back", "committed", "scheduled", "cancelled", "Exactly the right events")
		wantInOrder(t, out.String(), "committed", "relayed", "received", "after the commit", "received", "after it was due")
	})
}

func TestTheDemoFailsOnAStoreThatPublishesARolledBackEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newMemoryStorage()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = Run(t.Context(), &out, leaky{s})
		if err == nil || !strings.Contains(err.Error(), "should not have arrived") {
			t.Errorf("error is %v, want one about an event that should not have arrived\n%s", err, &out)
		}
		wantInOrder(t, out.String(), "The demo FAILED")
	})
}

func wantInOrder(t *testing.T, text string, words ...string) {
	t.Helper()
	rest := text
	for _, w := range words {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Errorf("the output lacks %q where it belongs:\n%s", w, text)
			return
		}
		rest = after
	}
}
