package settings

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAGroupCanBeWrittenAsJSONAsYAMLOrAsWords(t *testing.T) {
	for _, text := range []string{`{"relay": "debug", "rabbitmq": "warn"}`, "{relay: debug, rabbitmq: warn}", "relay:debug, rabbitmq:warn"} {
		s, err := load(t, "queue: q", "PARLEY_LOG_LEVELS="+text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(map[string]string{"relay": "debug", "rabbitmq": "warn"}, s.Log.Levels); diff != "" {
			t.Errorf("%s: want -, got +\n%s", text, diff)
		}
	}
}

func TestQueuesKeepTheOrderInWhichTheyAreWritten(t *testing.T) {
	for _, text := range []string{"zebra, ant, mole", `{"zebra": {}, "ant": null, "mole": {}}`} {
		s, err := load(t, "app_id: shop", "PARLEY_QUEUES="+text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var names []string
		for _, q := range s.Queues {
			names = append(names, q.Name)
		}
		if diff := cmp.Diff([]string{"zebra", "ant", "mole"}, names); diff != "" {
			t.Errorf("%s: want -, got +\n%s", text, diff)
		}
	}
}

func TestAMistakeInAGroupNamesTheItemAndTheHint(t *testing.T) {
	for text, wants := range map[string][]string{
		"log: {levels: {relay: loud}}":                                     {"relay: loud is not a level", "debug, info, warn or error"},
		"queues: [orders, orders]":                                         {`queue "orders" is listed twice`, "keep one of them"},
		"queues: {orders: 4}":                                              {`queue "orders" must be a group of settings`},
		"queues: {orders: {concurency: 4}}":                                {"orders.concurency: unknown setting", "concurrency"},
		"queues: {orders: {arguments: {x-max-length: 1.5}}}":               {"argument x-max-length must be a text, a whole number, true or false"},
		"exchanges: [{name: a, type: topic, arguments: lost}]":             {"arguments must be a group"},
		"exchanges: [{name: a, type: topic, arguments: {x: [1]}}]":         {"argument x must be a text"},
		"queues: {orders: {arguments: {x-max-length: 1e300}, binds: [a]}}": {"argument x-max-length must be a text, a whole number"},
	} {
		_, err := load(t, text)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want an error that says %q", text, err, want)
			}
		}
	}
}
