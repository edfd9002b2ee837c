package parley

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestARetryDelayIsThatOfThePlanOrTheNextLongerOne(t *testing.T) {
	p := RetryPolicy{Delays: []time.Duration{time.Minute, 10 * time.Second, time.Hour}}
	for _, c := range []struct {
		n           int
		after, want time.Duration
	}{
		{0, 0, time.Minute},
		{1, 0, 10 * time.Second},
		{0, time.Second, 10 * time.Second},
		{0, 10 * time.Second, 10 * time.Second},
		{0, 11 * time.Second, time.Minute},
		{0, 24 * time.Hour, time.Hour},
	} {
		if got := p.delay(c.n, c.after); got != c.want {
			t.Errorf("delay(%d, %v) = %v, want %v", c.n, c.after, got, c.want)
		}
	}
	for retries, want := range map[int]time.Duration{0: time.Minute, 2: time.Hour, 9: time.Hour} {
		if got := p.putOff(retries); got != want {
			t.Errorf("putOff(%d) = %v, want %v", retries, got, want)
		}
	}
	if got := NoRetry.putOff(0); got != time.Minute {
		t.Errorf("without delays an attempt is put off by %v, want 1m", got)
	}
}

func TestARetryPolicyTakesOnlyWaitsThatItsQueuesCanKeep(t *testing.T) {
	for _, c := range []struct {
		immediate, delay time.Duration
		wrong            bool
	}{
		{time.Millisecond, time.Second, false},
		{time.Minute, 24 * time.Hour, false},
		{0, time.Second, true},
		{time.Minute + 1, time.Second, true},
		{time.Second, time.Second - 1, true},
		{time.Second, 1500 * time.Millisecond, true},
		{time.Second, 25 * time.Hour, true},
	} {
		p := RetryPolicy{Immediate: []time.Duration{c.immediate}, Delays: []time.Duration{c.delay}}
		if err := p.check(); (err != nil) != c.wrong {
			t.Errorf("immediate %v, delay %v: %v", c.immediate, c.delay, err)
		}
	}
}

func TestOnlyNilFieldsOfAPolicyAreInherited(t *testing.T) {
	got := RetryPolicy{Immediate: []time.Duration{}}.over(DefaultRetry)
	if len(got.Immediate) != 0 || got.total() != 10*time.Second+time.Minute+10*time.Minute {
		t.Errorf("%d immediate retries and %v together, want 0 and 11m10s", len(got.Immediate), got.total())
	}
}

func TestMalformedMessagesAndPermanentErrorsAreNotRetried(t *testing.T) {
	p := RetryPolicy{Permanent: func(err error) bool { return errors.Is(err, io.EOF) }}
	for err, want := range map[error]bool{&MalformedError{Err: io.ErrNoProgress}: true, io.EOF: true, io.ErrNoProgress: false} {
		if got := p.permanent(err); got != want {
			t.Errorf("%v: permanent is %v, want %v", err, got, want)
		}
	}
	if (RetryPolicy{}).permanent(io.EOF) {
		t.Error("without Permanent an error is permanent")
	}
}

func TestAPolicyTellsWhichErrorsPark(t *testing.T) {
	p := RetryPolicy{Permanent: func(err error) bool { return errors.Is(err, io.EOF) }}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{io.ErrNoProgress, false},
		{RetryAfter(time.Minute, io.ErrNoProgress), false},
		{Ignore(io.ErrNoProgress), false},
		{Park(io.ErrNoProgress), true},
		{fmt.Errorf("rename: %w", Park(io.ErrNoProgress)), true},
		{&MalformedError{Err: io.ErrNoProgress}, true},
		{io.EOF, true},
	} {
		if got := p.Parks(c.err); got != c.want {
			t.Errorf("Parks(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestRetryQueuesAreNamedByTheirDelay(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "q.retry.1s", 90 * time.Second: "q.retry.1m30s", 600 * time.Second: "q.retry.10m", 3601 * time.Second: "q.retry.1h1s", 24 * time.Hour: "q.retry.24h",
	} {
		if got := retryQueueName("q", d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestWaitsAreSpreadByAFifth(t *testing.T) {
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := spread(10 * time.Second)
		low, high = min(low, d), max(high, d)
	}
	if low < 8*time.Second || high > 12*time.Second || high-low < 2*time.Second {
		t.Errorf("waits from %v to %v, want 8s to 12s", low, high)
	}
}
