package parley

import (
	"errors"
	"testing"
	"time"
)

// What becomes of a job depends on the facts alone: no broker, no clock, no goroutine.
func TestDecideByFacts(t *testing.T) {
	failed := errors.New("failed")
	plan := RetryPolicy{Immediate: []time.Duration{time.Millisecond}, Delays: []time.Duration{10 * time.Second, time.Minute}}
	for name, c := range map[string]struct {
		facts  facts
		want   action
		wait   time.Duration
		putOff bool
	}{
		"first failure: at once":                       {facts{tries: 1}, actWait, time.Millisecond, false},
		"immediate retries used up":                    {facts{tries: 2}, actRetry, 10 * time.Second, false},
		"second delay":                                 {facts{tries: 1, retries: 1}, actRetry, time.Minute, false},
		"plan used up":                                 {facts{tries: 1, retries: 2}, actPark, 0, false},
		"no retry helps":                               {facts{tries: 1, park: true}, actPark, 0, false},
		"no retry helps, in an outage":                 {facts{tries: 1, park: true, outage: true, paused: true, row: true, store: true}, actPark, 0, false},
		"the handler names a time":                     {facts{tries: 1, after: 20 * time.Second}, actRetry, time.Minute, false},
		"timed out: not at once":                       {facts{tries: 1, err: errHandlerTimeout}, actRetry, 10 * time.Second, false},
		"kill switch open":                             {facts{tries: 2, paused: true}, actReturn, 0, false},
		"kill switch open, with a database":            {facts{tries: 2, paused: true, store: true}, actReturn, 0, false},
		"kill switch open, plan used up":               {facts{tries: 1, retries: 2, paused: true}, actReturn, 0, false},
		"a probe moves on":                             {facts{tries: 2, paused: true, probing: true}, actRetry, 10 * time.Second, false},
		"a row while the kill switch is open":          {facts{tries: 1, retries: 1, row: true, store: true, paused: true}, actRetry, time.Minute, true},
		"a row in an outage is never the last attempt": {facts{tries: 1, retries: 2, row: true, store: true, outage: true}, actRetry, time.Minute, true},
		"a row by plan":                                {facts{tries: 1, retries: 1, row: true, store: true}, actRetry, time.Minute, false},
		"a row whose plan is used up":                  {facts{tries: 1, retries: 2, row: true, store: true}, actPark, 0, false},
		"ordered, without a database: in the process":  {facts{tries: 2, ordered: true}, actWait, 10 * time.Second, false},
		"ordered, with a database":                     {facts{tries: 2, ordered: true, store: true}, actRetry, 10 * time.Second, false},
		"ordered, in an outage, is not parked":         {facts{tries: 2, retries: 2, ordered: true, outage: true}, actWait, time.Minute, true},
		"a shared queue, without a database":           {facts{tries: 2, shared: true}, actWait, 10 * time.Second, false},
		"a shared queue, with a database":              {facts{tries: 2, shared: true, store: true}, actRetry, 10 * time.Second, false},
	} {
		c.facts.policy = plan
		if c.facts.err == nil {
			c.facts.err = failed
		}
		v := decide(c.facts)
		near := v.wait >= c.wait*4/5 && v.wait <= c.wait*6/5 // immediate retries are spread
		if v.action != c.want || !near || v.putOff != c.putOff || v.err != c.facts.err {
			t.Errorf("%s: %+v, want action %d after %v, put off %v", name, v, c.want, c.wait, c.putOff)
		}
	}
}

func TestARepeatIsTheSameMessageAndNotOnlyTheSameIdentity(t *testing.T) {
	m := Message{ID: "1", Exchange: "user", RoutingKey: "k", Body: []byte("a")}
	same := repeatOf("q", &m)
	for name, change := range map[string]func(m *Message){
		"body":        func(m *Message) { m.Body = []byte("b") },
		"exchange":    func(m *Message) { m.Exchange = "other" },
		"routing key": func(m *Message) { m.RoutingKey = "other" },
		"id":          func(m *Message) { m.ID = "2" },
	} {
		changed := m
		change(&changed)
		if string(repeatOf("q", &changed)) == string(same) {
			t.Errorf("a message with another %s counts as a repeat", name)
		}
	}
	if string(repeatOf("other", &m)) == string(same) {
		t.Error("a message of another consumer counts as a repeat")
	}
	m.ID = ""
	if repeatOf("q", &m) != nil {
		t.Error("a command without an id counts as a repeat of an equal one")
	}
}
