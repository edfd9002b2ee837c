//go:build unix

package faulttests_test

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/internal/testenv/faultproxy"
)

// soakVariable is the environment variable with the duration of the soak, such as "30m".
const soakVariable = "PARLEY_FAULTS_SOAK"

// roundTime is the duration of a round of faults. Then everything is repaired, drained and checked.
const roundTime = 2 * time.Minute

const soakBatch = 200

// A soak is a lab with private servers, relays and consumers, and all faults at once.
type soak struct {
	*lab
	random *rand.Rand
	pg, mq *server
	// The first relay and the first consumer run for the whole soak, so that leaks add up.
	relays, consumers [2]*soaked

	lasting []lasting      // active faults
	done    map[string]int // how often each fault was done
	alarmed bool           // the broker blocks publications
	poison  int            // poison messages so far
	rows    int            // poison rows in the outbox so far
	parked  int            // messages parked by outages, and replayed
	doubled int
	events  int
}

// A soaked is a child with its own proxies to both servers.
type soaked struct {
	spec             childSpec
	p                *process
	down             bool // it was killed, and is about to be restarted
	database, broker *faultproxy.Proxy
	usage            []usage
}

// A lasting fault is active until it is ended.
type lasting struct {
	until time.Time
	end   func()
}

func TestASoakInAllFaultsAtOnceLosesNothing(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv(soakVariable))
	if err != nil {
		testenv.SkipOptional(t, soakVariable, "30m")
	}
	s := newSoak(t)
	var slowest time.Duration
	rounds := 0
	for begin := time.Now(); time.Since(begin) < limit; rounds++ {
		stopLoad := s.load(300)
		s.suffer(roundTime)
		over := time.Now()
		s.repair()
		stopLoad()
		s.drained()
		slowest = max(slowest, time.Since(over))
		s.settle()
		s.judgeRound(rounds)
	}
	for _, c := range s.allChildren() {
		c.p.stop()
	}
	s.checkFelt()
	checkUsage(t, "the relay", s.relays[0].usage)
	checkUsage(t, "the consumer", s.consumers[0].usage)
	if slowest > longLimit {
		t.Errorf("the outbox was drained %v after the end of the faults, want at most %v", slowest, longLimit)
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(s.done)) {
		t.Logf("%s: %d times", name, s.done[name])
		total += s.done[name]
	}
	t.Logf("%d messages were parked by outages and replayed", s.parked)
	counts.add(t, row{fault: fmt.Sprintf("all faults at once, for %v", limit), times: total, events: s.events, doubled: s.doubled, recovery: slowest})
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{random: chance(t), pg: privatePostgres(t), mq: privateRabbitMQ(t), done: map[string]int{}}
	s.lab = newLabOn(t, s.pg.url, s.mq.url, 2)
	for i := range s.relays {
		relay, consumer := s.child("relay"), s.consumer()
		relay.Batch, consumer.Fail = soakBatch, 100
		s.relays[i], s.consumers[i] = s.link(relay), s.link(consumer)
	}
	return s
}

// link starts a child behind proxies.
func (s *soak) link(spec childSpec) *soaked {
	s.t.Helper()
	c := &soaked{spec: spec}
	c.database, c.spec.Database = through(s.t, spec.Database)
	c.broker, c.spec.Broker = through(s.t, spec.Broker)
	c.p = spawn(s.t, c.spec)
	c.p.works()
	return c
}

// suffer starts one fault after another in random order. Lasting faults overlap with the next ones.
func (s *soak) suffer(d time.Duration) {
	s.t.Helper()
	faults := s.faults()
	var deck []string
	for begin := time.Now(); time.Since(begin) < d; {
		if len(deck) == 0 {
			deck = slices.Sorted(maps.Keys(faults))
			s.random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		name := deck[0]
		deck = deck[1:]
		faults[name]()
		s.done[name]++
		pass(s.seconds(1, 5))
		s.endDue(time.Now())
	}
}

// seconds returns a random time between two bounds.
func (s *soak) seconds(least, most int) time.Duration {
	return time.Duration(least)*time.Second + time.Duration(s.random.Int64N(int64(most-least)*int64(time.Second)+1))
}

func (s *soak) last(d time.Duration, end func()) {
	s.lasting = append(s.lasting, lasting{time.Now().Add(d), end})
}

func (s *soak) endDue(now time.Time) {
	s.lasting = slices.DeleteFunc(s.lasting, func(l lasting) bool {
		if l.until.After(now) {
			return false
		}
		l.end()
		return true
	})
}

// repair ends all faults. Children that are to die at a failpoint are replaced by others.
func (s *soak) repair() {
	s.endDue(time.Now().Add(time.Hour))
	for _, c := range [...]*soaked{s.relays[1], s.consumers[1]} {
		s.kill(c, "")
	}
	s.endDue(time.Now().Add(time.Hour))
	for _, c := range s.allChildren() {
		c.p.works()
	}
}

func (s *soak) allChildren() []*soaked {
	return []*soaked{s.relays[0], s.relays[1], s.consumers[0], s.consumers[1]}
}

func (s *soak) faults() map[string]func() {
	return map[string]func(){
		"kill -9 of a relay": func() {
			s.kill(s.relays[1], beforePublish, midPublish, afterPublish, afterDelete, afterCommit)
		},
		"kill -9 of a consumer": func() {
			s.kill(s.consumers[1], beforeHandler, afterEffect, afterEffectCommit, beforeAck, afterRetryQueue)
		},
		"restart of RabbitMQ":   func() { s.restart(s.mq, syscall.SIGTERM) },
		"kill -9 of RabbitMQ":   func() { s.restart(s.mq, syscall.SIGKILL) },
		"restart of PostgreSQL": func() { s.restart(s.pg, syscall.SIGINT) },
		"kill -9 of PostgreSQL": func() { s.restart(s.pg, syscall.SIGKILL) },
		"memory alarm": func() {
			s.alarmed = true
			s.mq.control("set_vm_memory_high_watermark", "absolute", "1000000")
			s.last(s.seconds(5, 20), func() {
				s.mq.control("set_vm_memory_high_watermark", "0.4")
				s.alarmed = false
			})
		},
		"cut of all links of a process":      func() { s.onLinks((*faultproxy.Proxy).Cut) },
		"hang-up of all links of a process":  func() { s.onLinks((*faultproxy.Proxy).HangUp) },
		"black hole":                         func() { s.hole((*faultproxy.Proxy).Blackhole) },
		"black hole in one direction":        func() { s.hole((*faultproxy.Proxy).BlackholeToClient) },
		"long transaction":                   s.holdTransaction,
		"poisonous messages and outbox rows": s.poisonAll,
	}
}

// kill makes a child die at one of its failpoints, or at once if it has not reached it. The child is restarted later with
// another failpoint.
func (s *soak) kill(c *soaked, places ...point) {
	s.t.Helper()
	if c.down {
		return
	}
	select {
	case <-c.p.ended:
		c.p.diedAt(c.spec.Point)
	default:
		c.p.kill()
	}
	c.down = true
	c.spec.Point, c.spec.Pass = places[s.random.IntN(len(places))], 1+s.random.IntN(50)
	s.last(s.seconds(0, 5), func() {
		c.p = spawn(s.t, c.spec)
		c.down = false
	})
}

func (s *soak) restart(server *server, sig syscall.Signal) {
	s.t.Helper()
	server.signal(sig)
	pass(s.seconds(0, 5))
	server.start()
}

func (s *soak) anyChild() *soaked { return s.allChildren()[s.random.IntN(4)] }

func (s *soak) onLinks(do func(*faultproxy.Proxy) int) {
	c := s.anyChild()
	do(c.database)
	do(c.broker)
}

// hole turns one link of a process, or both, into a black hole.
func (s *soak) hole(make func(*faultproxy.Proxy)) {
	c := s.anyChild()
	links := [][]*faultproxy.Proxy{{c.database}, {c.broker}, {c.database, c.broker}}[s.random.IntN(3)]
	for _, link := range links {
		make(link)
	}
	s.last(s.seconds(5, 30), func() {
		for _, link := range links {
			link.Heal()
		}
	})
}

// holdTransaction keeps a snapshot open, and thereby every row that is deleted meanwhile.
func (s *soak) holdTransaction() {
	s.t.Helper()
	tx, err := s.db.BeginTx(s.t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		s.t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(s.t.Context(), "SELECT count(*) FROM parley_outbox").Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	s.last(s.seconds(20, 60), func() { _ = tx.Rollback() }) // the server may have restarted
}

// poisonAll gives the relay rows that no broker accepts, and the consumers messages that cannot be decoded.
func (s *soak) poisonAll() {
	s.t.Helper()
	for kind, row := range poisonRows(s.exchanges[0]) {
		if kind == "not found" {
			continue // a relay that declares its topology creates that exchange
		}
		_, err := s.pool.Exec(s.t.Context(), "INSERT INTO parley_outbox (exchange, routing_key, kind, body, properties) VALUES ($1, $2, 'event', $3, $4)", row...)
		if err != nil {
			s.t.Fatalf("%s: %v", kind, err)
		}
		s.rows++
	}
	if s.alarmed {
		return
	}
	err := s.onBroker(func(ch *amqp.Channel) error {
		err := ch.Confirm(false)
		for n := 0; err == nil && n < 5; n++ {
			var sent *amqp.DeferredConfirmation
			sent, err = ch.PublishWithDeferredConfirm(s.exchanges[0], "noted", true, false,
				amqp.Publishing{MessageId: fmt.Sprint(poisonID, s.poison), ContentType: parley.ContentType, DeliveryMode: amqp.Persistent, Body: []byte(`{"eventId": 1, "payload": {`)})
			if err == nil {
				_, err = sent.WaitContext(s.t.Context())
				s.poison++
			}
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// checkFelt proves that the faults that end no process happened.
func (s *soak) checkFelt() {
	s.t.Helper()
	felt := map[string]int{}
	for _, c := range s.allChildren() {
		felt["alarms"] += c.p.heard("rabbitmq: publications blocked by the broker")
		for _, link := range []*faultproxy.Proxy{c.database, c.broker} {
			felt["cuts"] += link.Count(faultproxy.Cuts)
			felt["hang-ups"] += link.Count(faultproxy.HungUp)
			felt["pieces held by black holes"] += link.Count(faultproxy.Held)
		}
	}
	s.t.Logf("felt: %v", felt)
	for what, n := range felt {
		if n == 0 {
			s.t.Errorf("no %s happened", what)
		}
	}
}

// settle waits until every event has had its effect. It replays messages that an outage parked; poison messages stay parked.
func (s *soak) settle() {
	s.t.Helper()
	b := s.direct()
	eventually(s.t, "every event has had its effect", func() bool {
		err := parley.VisitParked(s.t.Context(), b, s.work(), nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
			if strings.HasPrefix(m.ID, poisonID) {
				return parley.ParkedKeep, nil
			}
			s.parked++
			return parley.ParkedReplay, nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
		left, err := s.tryCount("ledger WHERE NOT EXISTS (SELECT 1 FROM effects WHERE effects.number = ledger.number)")
		return err == nil && left == 0
	})
}

// judgeRound checks the results of a round, and empties the ledger for the next one.
func (s *soak) judgeRound(round int) {
	s.t.Helper()
	e := s.evidence()
	e.arrivals = s.arrivals()
	f := e.inQueue()
	// Each fault may make each relay repeat its current batch.
	f.check(s.t, len(s.relays)*soakBatch*int(roundTime/time.Second))
	e.inEffect().check(s.t, 0)
	if n := s.count("parley_parked"); n != s.rows {
		s.t.Errorf("the relays parked %d rows, want the %d poison rows", n, s.rows)
	}
	seen := map[string]bool{}
	err := parley.VisitParked(s.t.Context(), s.direct(), s.work(), nil, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		seen[m.ID] = true
		return parley.ParkedKeep, nil
	})
	if err != nil || len(seen) != s.poison {
		s.t.Errorf("%d messages are in the parked queue (%v), want the %d poison messages", len(seen), err, s.poison)
	}
	for _, c := range s.allChildren() {
		c.usage = append(c.usage, c.p.usage())
	}
	s.t.Logf("round %d: %d events, %d lost, %d doubled, %d reordered", round+1, f.events, len(f.lost), len(f.doubled), len(f.reordered))
	s.events += f.events
	s.doubled += len(f.doubled)
	if _, err := s.db.ExecContext(s.t.Context(), "TRUNCATE ledger, undone, effects"); err != nil {
		s.t.Fatal(err)
	}
}
