package rabbitmq

import (
	"errors"
	"testing"
)

func TestANodeThatCountsNoConsumersOfASubscribedQueueSeveralTimesIsLeft(t *testing.T) {
	const none, err = 0, "err"
	for name, tt := range map[string]struct {
		answers []any // a number of consumers or an error
		want    bool
	}{
		"four times none":                 {[]any{none, none, none, none}, true},
		"three times none":                {[]any{none, none, none}, false},
		"an election in between":          {[]any{none, none, none, 2, none}, false},
		"errors are no sign":              {[]any{none, none, err, none, none}, false},
		"a healthy node":                  {[]any{1, 1, 1, 1, 1}, false},
		"a node that is cut off later on": {[]any{1, none, none, none, none}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var i isolation
			left := false
			for _, answer := range tt.answers {
				if n, ok := answer.(int); ok {
					left = i.observe(n, nil)
				} else {
					left = i.observe(0, errors.New("no answer"))
				}
			}
			if left != tt.want {
				t.Errorf("the node is left: %v, want %v", left, tt.want)
			}
		})
	}
}
