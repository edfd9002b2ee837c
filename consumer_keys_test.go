package parley

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A slowKeys is a failure store that answers each question for keys after a second.
type slowKeys struct {
	FailureStore
	rows    map[string]bool
	err     error
	queries [][]string
}

func (s *slowKeys) KeysWithRows(_ context.Context, _ string, keys []string) (map[string]bool, error) {
	s.queries = append(s.queries, keys)
	<-time.After(time.Second)
	return s.rows, s.err
}

// A burst of keys must not cost one query for each delivery.
func TestChecksThatStartWhileAQueryRunsShareTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowKeys{rows: map[string]bool{"b": true}}
		checks := &keyChecks{store: store, consumer: "c"}
		results := make(chan error, 10)
		check := func(key string) {
			go func() {
				rows, err := checks.hasRows(t.Context(), key)
				if err == nil && rows != (key == "b") {
					err = errors.New("wrong answer for key " + key)
				}
				results <- err
			}()
			synctest.Wait()
		}
		check("a")
		for _, key := range []string{"b", "c", "b", "b"} {
			check(key)
		}
		start := time.Now()
		for range 5 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("five checks took %v, want two queries of one second", took)
		}
		if len(store.queries) != 2 || !slices.Equal(store.queries[0], []string{"a"}) || !slices.Equal(store.queries[1], []string{"b", "c"}) {
			t.Errorf("the queries asked for %q, want [a], then [b c]", store.queries)
		}
	})
}

func TestAFailedQueryIsTheAnswerToEachOfItsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unreachable := errors.New("connection refused")
		checks := &keyChecks{store: &slowKeys{err: unreachable}}
		results := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := checks.hasRows(t.Context(), "a")
				results <- err
			}()
		}
		for range 3 {
			if err := <-results; !errors.Is(err, unreachable) {
				t.Errorf("got %v, want the error of the query", err)
			}
		}
	})
}

// The check that leaves may be the one that was to run the next query.
func TestACheckThatIsGivenUpHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := &keyChecks{store: &slowKeys{rows: map[string]bool{"c": true}}}
		short, cancel := context.WithTimeout(t.Context(), time.Second) // ends with the first query
		defer cancel()
		gone, first := make(chan error, 1), make(chan error, 1)
		go func() { _, err := checks.hasRows(t.Context(), "a"); first <- err }()
		synctest.Wait()
		go func() { _, err := checks.hasRows(short, "b"); gone <- err }()
		synctest.Wait()
		if rows, err := checks.hasRows(t.Context(), "c"); !rows || err != nil {
			t.Errorf("the other check got %v, %v; want rows", rows, err)
		}
		if err := <-gone; err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want no error or the deadline", err)
		}
		if err := <-first; err != nil {
			t.Errorf("the first check: %v", err)
		}
	})
}

func TestACheckEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := &keyChecks{store: &slowKeys{rows: map[string]bool{"c": true}}}
		first := make(chan error, 1)
		go func() { _, err := checks.hasRows(t.Context(), "a"); first <- err }()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := checks.hasRows(short, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline of the check", err)
		}
		if rows, err := checks.hasRows(t.Context(), "c"); !rows || err != nil {
			t.Errorf("the next check got %v, %v; want rows", rows, err)
		}
		if err := <-first; err != nil {
			t.Errorf("the first check: %v", err)
		}
	})
}
