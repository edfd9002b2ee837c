package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/postgres"
)

// seldom is a poll interval that no test waits for; soon is far below it.
const (
	seldom = 2 * time.Minute
	soon   = 20 * time.Second
)

var numberNoted = parley.NewEvent[int]("numbers", "noted")

// rested starts relays on the store and waits until one of them sleeps.
func rested(t *testing.T, pool *pgxpool.Pool, store *postgres.Store, broker *memory.Broker, mode parley.RelayMode, n int) []*parley.Relay {
	t.Helper()
	relays := make([]*parley.Relay, n)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { stop(); wg.Wait() })
	for i := range relays {
		relay, err := parley.NewRelay(store, broker, &parley.RelayConfig{Mode: mode, PollInterval: seldom, StandbyInterval: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		relays[i] = relay
		wg.Go(func() {
			if err := relay.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "a relay sleeps", func() bool { return raised(t, pool) })
	return relays
}

// until polls until ok returns true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(soon)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("timed out after %v: %s", soon, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// raised reports whether the flag of a sleeping relay is raised.
func raised(t *testing.T, pool *pgxpool.Pool) (up bool) {
	t.Helper()
	const q = `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
 AND classid = 1885434476 AND objid = 'parley_outbox'::regclass)`
	if err := pool.QueryRow(t.Context(), q).Scan(&up); err != nil {
		t.Fatal(err)
	}
	return up
}

func note(ctx context.Context, outbox *parley.Outbox[pgx.Tx], tx pgx.Tx) error {
	_, err := parley.Publish(ctx, outbox.In(tx), numberNoted, 1)
	return err
}

func notingOutbox(t *testing.T, store *postgres.Store) *parley.Outbox[pgx.Tx] {
	t.Helper()
	outbox, err := parley.NewOutbox[pgx.Tx](store, nil)
	if err != nil {
		t.Fatal(err)
	}
	return outbox
}

func TestNoOrderOfCommitsAndSleepLosesAWakeUp(t *testing.T) {
	testenv.Long(t, "takes 15 seconds")
	for name, mode := range map[string]parley.RelayMode{"ordered": parley.RelayModeOrdered, "parallel": parley.RelayModeParallel} {
		t.Run(name, func(t *testing.T) {
			pool, store := openPgx(t)
			outbox, broker := notingOutbox(t, store), memory.NewBroker(nil)
			rested(t, pool, store, broker, mode, 2)
			for n := range 150 {
				tx, err := pool.Begin(t.Context())
				if err == nil {
					err = note(t.Context(), outbox, tx)
				}
				// The relay lingers, raises its flag or sleeps meanwhile.
				time.Sleep(rand.N(40 * time.Millisecond))
				if err == nil {
					err = tx.Commit(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				until(t, "the event is published", func() bool { return len(broker.Published()) == n+1 })
				time.Sleep(rand.N(40 * time.Millisecond))
			}
		})
	}
}

func TestATransactionThatTestedTheFlagBeforeItWasRaisedIsNotMissed(t *testing.T) {
	pool, store := openPgx(t)
	outbox, broker := notingOutbox(t, store), memory.NewBroker(nil)
	tx, err := pool.Begin(t.Context())
	if err == nil {
		err = note(t.Context(), outbox, tx)
	}
	if err != nil {
		t.Fatal(err)
	}
	rested(t, pool, store, broker, parley.RelayModeOrdered, 1)
	time.Sleep(200 * time.Millisecond)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the event is published", func() bool { return len(broker.Published()) == 1 })
}

func TestOfThreeOrderedRelaysAtRestExactlyOneIsActive(t *testing.T) {
	pool, store := openPgx(t)
	outbox, broker := notingOutbox(t, store), memory.NewBroker(nil)
	relays := rested(t, pool, store, broker, parley.RelayModeOrdered, 3)
	active := func() (n int) {
		for _, r := range relays {
			if r.State() == parley.RelayActive {
				n++
			}
		}
		return n
	}
	for round := range 3 {
		until(t, fmt.Sprintf("round %d: exactly one relay is active and stays so", round), func() bool {
			for range 50 {
				if active() != 1 {
					return false // they are not at rest yet
				}
				time.Sleep(5 * time.Millisecond)
			}
			return true
		})
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return note(t.Context(), outbox, tx) })
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the event is published", func() bool { return len(broker.Published()) == round+1 })
		time.Sleep(500 * time.Millisecond) // the relays come to rest
	}
}

func TestPublishersNotifyOnlyWhileARelaySleeps(t *testing.T) {
	pool, store := openPgx(t)
	outbox := notingOutbox(t, store)
	listener, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close(context.WithoutCancel(t.Context()))
	var channel string
	if err := listener.QueryRow(t.Context(), "SELECT 'parley_' || md5('public.parley_outbox')").Scan(&channel); err != nil {
		t.Fatal(err)
	}
	if _, err := listener.Exec(t.Context(), "LISTEN "+channel); err != nil {
		t.Fatal(err)
	}
	notified := func(patience time.Duration) bool {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return note(t.Context(), outbox, tx) })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err = listener.WaitForNotification(ctx)
		return err == nil
	}
	if notified(200 * time.Millisecond) {
		t.Error("a publisher notified although no relay sleeps")
	}
	rested(t, pool, store, memory.NewBroker(nil), parley.RelayModeOrdered, 1)
	until(t, "a publisher notifies the relay that sleeps", func() bool { return notified(100 * time.Millisecond) })
}

func TestARelayIsWokenByTheTriggerOfEarlierVersions(t *testing.T) {
	pool, store := openPgx(t)
	_, err := pool.Exec(t.Context(), `CREATE OR REPLACE FUNCTION parley_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
 BEGIN PERFORM pg_notify('parley_' || md5(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME), ''); RETURN NULL; END $$`)
	if err != nil {
		t.Fatal(err)
	}
	outbox, broker := notingOutbox(t, store), memory.NewBroker(nil)
	rested(t, pool, store, broker, parley.RelayModeOrdered, 1)
	for n := range 3 {
		if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return note(t.Context(), outbox, tx) }); err != nil {
			t.Fatal(err)
		}
		until(t, "the event is published", func() bool { return len(broker.Published()) == n+1 })
	}
}

// pollingSource hides the flag, as a relay of an earlier version does not know it.
type pollingSource struct{ parley.RelaySource }

func TestARelayThatDoesNotKnowTheFlagPolls(t *testing.T) {
	pool, store := openPgx(t)
	outbox, broker := notingOutbox(t, store), memory.NewBroker(nil)
	relay, err := parley.NewRelay(pollingSource{store}, broker, &parley.RelayConfig{PollInterval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return note(ctx, outbox, tx) }); err != nil {
		t.Fatal(err)
	}
	until(t, "the event is published", func() bool { return len(broker.Published()) == 1 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPollOnlyMakesNoTriggerAndRemovesAnExistingOne(t *testing.T) {
	pool := newPool(t)
	for _, pollOnly := range []bool{true, false, true, false} {
		store, err := postgres.New(pool, &postgres.Config{PollOnly: pollOnly})
		if err == nil {
			err = store.Migrate(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		var trigger bool
		const q = "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = 'parley_outbox'::regclass AND tgname = 'parley_outbox_notify')"
		if err := pool.QueryRow(t.Context(), q).Scan(&trigger); err != nil {
			t.Fatal(err)
		}
		if trigger == pollOnly {
			t.Errorf("PollOnly %v: trigger exists: %v", pollOnly, trigger)
		}
	}
}

func TestAStoreWithoutAListenerIsNeverReadyToSleep(t *testing.T) {
	pool, _ := openPgx(t)
	store, err := postgres.New(pool, &postgres.Config{PollOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = store.WatchAsleep(ctx, func() { t.Error("a wake-up without a listener") }, func(parley.SleepFlag) { t.Error("a flag without a listener") })
	if err != nil {
		t.Errorf("WatchAsleep returned %v after its context had ended, want nil", err)
	}
}
