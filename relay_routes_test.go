package parley

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// to returns a record of an address.
func to(id int64, exchange, key string) *Record {
	return &Record{ID: id, Message: Message{Exchange: exchange, RoutingKey: key}}
}

func TestAnUnroutableOutcomeIsBelievedAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r routes
		if r.doubtful(to(1, "x", "a"), time.Now()) {
			t.Error("an address that never took a message is in doubt")
		}
		r.accepted(to(2, "x", "a"), time.Now())
		if r.doubtful(to(3, "x", "b"), time.Now()) {
			t.Error("another key of the exchange is in doubt")
		}
		time.Sleep(time.Second)
		for range 10 {
			if !r.doubtful(to(4, "x", "a"), time.Now()) {
				t.Fatal("believed within 10 seconds")
			}
			time.Sleep(time.Second)
		}
		for range 3 {
			if r.doubtful(to(4, "x", "a"), time.Now()) {
				t.Error("still in doubt after 10 seconds")
			}
			time.Sleep(time.Second)
		}
		if r.doubtful(to(5, "x", "a"), time.Now()) {
			t.Error("a later record of the address is in doubt")
		}
		r.accepted(to(6, "x", "a"), time.Now())
		if !r.doubtful(to(7, "x", "a"), time.Now()) {
			t.Error("not in doubt, although a queue took a message again")
		}
	})
}

// On a headers exchange a queue may take some messages of an address and not others.
func TestAcceptedMessagesOfItsAddressDoNotProlongTheDoubtAboutARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r routes
		r.accepted(to(1, "x", "a"), time.Now())
		for n := range int64(10) {
			if !r.doubtful(to(2, "x", "a"), time.Now()) {
				t.Fatalf("believed after %d seconds", n)
			}
			r.accepted(to(10+n, "x", "a"), time.Now())
			time.Sleep(time.Second)
		}
		if r.doubtful(to(2, "x", "a"), time.Now()) {
			t.Error("still in doubt after 10 seconds")
		}
		if !r.doubtful(to(3, "x", "a"), time.Now()) {
			t.Error("another record is not in doubt, although a queue takes messages of its address")
		}
	})
}

func TestARecordThatWasAcceptedOrDecidedBeginsANewDoubt(t *testing.T) {
	for name, end := range map[string]func(r *routes, rec *Record){
		"accepted":                   func(r *routes, rec *Record) { r.accepted(rec, time.Now()) },
		"decided":                    func(r *routes, rec *Record) { r.decided(rec) }, // SQLite may use an id again
		"the broker was unreachable": func(r *routes, _ *Record) { r.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r routes
				rec := to(1, "x", "a")
				r.accepted(to(2, "x", "a"), time.Now())
				r.doubtful(rec, time.Now())
				time.Sleep(9 * time.Second)
				end(&r, rec)
				r.doubtful(rec, time.Now())
				time.Sleep(9 * time.Second)
				if !r.doubtful(rec, time.Now()) {
					t.Error("the time of the first doubt counts")
				}
			})
		})
	}
}

// Routing keys can be without number, for example ids.
func TestTheRelayRemembersABoundedNumberOfAddressesAndRecords(t *testing.T) {
	var r routes
	for i := range int64(3*knownAddresses + 1) {
		rec := to(i, "x", strconv.FormatInt(i, 10))
		r.accepted(rec, time.Now())
		r.mayWarn(rec, time.Now())
		r.doubtful(rec, time.Now())
		if len(r.bound) > knownAddresses || len(r.warned) > knownAddresses || len(r.doubts) > knownAddresses {
			t.Fatalf("%d and %d addresses and %d records are remembered, want at most %d", len(r.bound), len(r.warned), len(r.doubts), knownAddresses)
		}
	}
	if !r.doubtful(to(-1, "x", strconv.Itoa(3*knownAddresses)), time.Now()) {
		t.Error("the last address is forgotten")
	}
}

func TestAnAddressIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r routes
		logged := 0
		for range 100 {
			if r.mayWarn(to(1, "x", "a"), time.Now()) {
				logged++
			}
			time.Sleep(time.Second)
		}
		if logged != 2 {
			t.Errorf("logged %d times in 100 seconds, want 2", logged)
		}
	})
}
