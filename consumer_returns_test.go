package parley

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A returnScript plays deliveries to returns. Its words, one step each:
//
//	lost:a1,a2      a subscription is lost with these in hand; "lost:a2/a1" says that a1 was acked before
//	subscribed      the next subscription starts
//	a1              a first delivery of message a1 of key a
//	a1r             a redelivery
//	+3s             time passes; the prefetch is not used up
//	+3s!            time passes; the prefetch is used up
type returnScript struct {
	t   *testing.T
	r   returns
	now time.Time
	out []string
}

func returnJob(word string) *job {
	body, again := strings.CutSuffix(word, "r")
	j := &job{key: word[:1], d: &Delivery{Message: Message{Body: []byte(body)}, Redelivered: again}}
	if j.key == "-" {
		j.key = "" // a route without order
	}
	j.digest = digestOf(j.d)
	return j
}

func keyedDeliveries(words string) (list []keyedDelivery) {
	for _, word := range strings.FieldsFunc(words, func(r rune) bool { return r == ',' }) {
		j := returnJob(word)
		list = append(list, keyedDelivery{j.key, j.digest})
	}
	return list
}

func (s *returnScript) pass(jobs []*job) {
	for _, j := range jobs {
		s.out = append(s.out, string(j.d.Body))
	}
}

func (s *returnScript) play(script string) {
	s.t.Helper()
	for word := range strings.FieldsSeq(script) {
		switch name, list, isLost := strings.Cut(word, ":"); {
		case isLost && name == "lost":
			unsettled, acked, _ := strings.Cut(list, "/")
			s.r.lost(keyedDeliveries(unsettled), keyedDeliveries(acked))
		case word == "subscribed":
			s.r.subscribed(s.now)
		case word[0] == '+':
			text, full := strings.CutSuffix(word[1:], "!")
			d, err := time.ParseDuration(text)
			if err != nil {
				s.t.Fatal(err)
			}
			s.now = s.now.Add(d)
			jobs, _ := s.r.due(s.now, !full)
			s.pass(jobs)
		default:
			s.pass(s.r.arrive(returnJob(word), s.now))
		}
	}
}

func TestKeysKeepTheirOrderAfterALostSubscription(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"in order":                          {"lost:a1,a2 subscribed a1r a2r a3", "a1 a2 a3"},
		"a later one first":                 {"lost:a1,a2 subscribed a3 a1r a2r b1 +1s", "a1 a2 b1 a3"},
		"earlier ones swapped":              {"lost:a1,a2,a3 subscribed a3r a2r a1r a4", "a1 a2 a3 a4"},
		"other keys continue":               {"lost:a1 subscribed b1 a2 -x b2", "b1 -x b2"},
		"without a loss":                    {"subscribed a2 a1r", "a2 a1"},
		"keys with nothing in hand":         {"lost:a1 subscribed b2 b1r", "b2 b1"},
		"missing for 59 s":                  {"lost:a1 subscribed a2 a3 +59s", ""},
		"missing for 60 s":                  {"lost:a1 subscribed a2 a3 +60s a4", "a2 a3 a4"},
		"quiet without a return":            {"lost:a1 subscribed a2 +10s +10s +10s", ""},
		"the limit needs a subscription":    {"lost:a1 +60s +60s subscribed a2 +59s", ""},
		"late after the limit":              {"lost:a1 subscribed a2 +60s a1r", "a2 a1"},
		"taken by another consumer":         {"lost:a1,b1 subscribed a2 b1r b2 +1s a3", "b1 b2 a2 a3"},
		"not yet sent, prefetch used up":    {"lost:a1,b1 subscribed a2 b1r +1s! +20s!", "b1"},
		"not sent although there is room":   {"lost:a1,b1 subscribed a2 b1r +1s", "b1 a2"},
		"more return within a second":       {"lost:a1,b1,b2 subscribed a2 b1r c1 +999ms b2r +999ms", "b1 c1 b2"},
		"sent into the cut":                 {"lost:a1 subscribed a3 a1r a2r b1 +1s", "a1 a2 b1 a3"},
		"sent into the cut, back first":     {"lost:a1 subscribed a3 a2r a1r b1 +1s", "a1 a2 b1 a3"},
		"nothing held after the last":       {"lost:a1 subscribed a1r a2", "a1 a2"},
		"lost ack":                          {"lost:a2/a1 subscribed a1r a3 a2r b1 +1s", "a1 a2 b1 a3"},
		"equal messages":                    {"lost:a1,a1 subscribed a2 a1r a1r b1 +1s", "a1 a1 b1 a2"},
		"equal messages, one acked":         {"lost:a1/a1 subscribed a1r a1r a2", "a1 a1 a2"},
		"lost again before they are back":   {"lost:a1,a2 subscribed a3 lost: subscribed a3r a4 a2r a1r b1 +1s", "a1 a2 a3 b1 a4"},
		"lost again with the first in hand": {"lost:a1,a2 subscribed a3 a1r lost:a1 subscribed a2r a3r a1r a4", "a1 a1 a2 a3 a4"},
		"the limit of the first loss":       {"lost:a1 subscribed a2 +50s lost:b1 subscribed a2r +9s +1s", "a2"},
		"sent into the second cut":          {"lost:a1,a2,b1 subscribed b1r lost:b1 subscribed a2r a3 c1 +1s b1r c2 +1s a1r +60s", "b1 c1 b1 c2 a1 a2 a3"},
		"two losses, the older one late":    {"lost:a1 subscribed b1 lost:b1 subscribed a2 b1r b2 +1s +1s a1r c1 +1s", "b1 b1 b2 a1 c1 a2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &returnScript{t: t, now: time.Unix(0, 0)}
			s.play(c.script)
			if got := strings.Join(s.out, " "); got != c.want {
				t.Errorf("%s\nhandled %q\nwant    %q", c.script, got, c.want)
			}
			if s.r.held == 0 != (s.r.bytes == 0) || s.r.held < 0 {
				t.Errorf("%d deliveries of %d bytes are counted as held", s.r.held, s.r.bytes)
			}
			s.now = s.now.Add(time.Hour)
			s.r.subscribed(s.now)
			s.play("+1h")
			if s.r.held != 0 || !s.r.idle() || len(s.r.losses) != 0 {
				t.Errorf("after the limit %d deliveries of %d keys are still held", s.r.held, len(s.r.keys))
			}
		})
	}
}

func TestGivenUpDeliveriesAreCounted(t *testing.T) {
	var r returns
	now := time.Unix(0, 0)
	r.lost(keyedDeliveries("a1,a2,b1"), nil)
	if n := r.subscribed(now); n != 3 {
		t.Errorf("%d deliveries are missing, want 3", n)
	}
	r.arrive(returnJob("a3"), now)
	r.arrive(returnJob("b1r"), now)
	if jobs, n := r.due(now.Add(returnLimit), false); len(jobs) != 1 || n != 2 {
		t.Errorf("%d held deliveries continue and %d were given up, want 1 and 2", len(jobs), n)
	}
}

func TestASkippedDeliveryIsNotWaitedFor(t *testing.T) {
	var r returns
	r.lost(keyedDeliveries("a1"), nil)
	r.skip(returnJob("a1r"))
	if !r.idle() || len(r.losses) != 0 {
		t.Error("the consumer waits for a delivery that a probe has handled")
	}
}

// Whatever the order in which a broker returns the deliveries of a key, they are handled in their first order, if those
// that were sent into the cut come after those that were in hand.
func TestEveryOrderOfReturnsIsPutRight(t *testing.T) {
	words := []string{"a1r", "a2r", "a3r", "a5", "a6"}
	n := 0
	permute(words, func(order []string) {
		if slices.Index(order, "a5") > slices.Index(order, "a6") {
			return // the broker sends first deliveries in the order of the queue
		}
		n++
		s := &returnScript{t: t, now: time.Unix(0, 0)}
		s.play("lost:a1,a2,a3 subscribed " + strings.Join(order, " ") + " +1s")
		if got := strings.Join(s.out, " "); got != "a1 a2 a3 a5 a6" {
			t.Errorf("%v: handled %q", order, got)
		}
	})
	if n != 60 {
		t.Errorf("%d orders were played, want 60", n)
	}
}

func permute(words []string, do func([]string)) {
	if len(words) < 2 {
		do(words)
		return
	}
	for i := range words {
		rest := slices.Delete(slices.Clone(words), i, i+1)
		permute(rest, func(tail []string) { do(append([]string{words[i]}, tail...)) })
	}
}
