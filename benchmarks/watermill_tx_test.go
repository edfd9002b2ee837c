//go:build !race

package benchmarks_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
)

// publishIn records one message for the forwarder within tx, as Watermill's documentation does.
func (wm *watermillOutbox) publishIn(b *testing.B, tx pgx.Tx, i int) error {
	b.Helper()
	body, err := json.Marshal(payload(i))
	if err != nil {
		return err
	}
	publisher, err := wsql.NewPublisher(wsql.TxFromPgx(tx), wsql.PublisherConfig{SchemaAdapter: wm.schema}, wm.log)
	if err != nil {
		return err
	}
	in := forwarder.NewPublisher(publisher, forwarder.PublisherConfig{ForwarderTopic: forwarderTopic})
	return in.Publish("user.renamed", message.NewMessage(watermill.NewUUID(), body))
}

// BenchmarkPublishInTransactionWatermill records one event per transaction with each side.
func BenchmarkPublishInTransactionWatermill(b *testing.B) {
	const n = 1000
	w, o := setUp(b), openOutbox(b)
	wm := newWatermill(b, w, o)
	wm.fill(b, 500) // creates its tables
	for range b.N {
		compare(b,
			side{"watermill publish", func(b *testing.B) int {
				timed(func() {
					for i := range n {
						o.inTx(b, func(tx pgx.Tx) error { return wm.publishIn(b, tx, i) })
					}
				})
				return n
			}},
			side{"parley publish", func(b *testing.B) int {
				timed(func() {
					for i := range n {
						o.inTx(b, func(tx pgx.Tx) error {
							_, err := parley.Publish(b.Context(), o.outbox.In(tx), w.event, payload(i))
							return err
						})
					}
				})
				return n
			}})
	}
}

// BenchmarkCommitToHandlerWatermill measures from a commit to the handler, at rest, with Watermill's forwarder, which
// polls every 2 ms here (its default is a second), and its subscriber, in turn with a relay and a consumer.
func BenchmarkCommitToHandlerWatermill(b *testing.B) {
	const n = 200
	w, o := setUp(b), openOutbox(b)
	theirs, theirOutbox := setUp(b), openOutbox(b) // one queue per consumer
	wm := newWatermill(b, theirs, theirOutbox)
	wm.fill(b, 500)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 4)
	stopForwarder := wm.start(b, 2*time.Millisecond, ended)
	handled := wm.subscribe(b)
	for range 500 {
		<-handled
	}
	arrived := make(chan time.Time, 1)
	<-w.runParley(ctx, b, o, func(user) { arrived <- time.Now() }, ended)
	for range b.N {
		var a, p []float64
		for i := range n {
			theirOutbox.inTx(b, func(tx pgx.Tx) error { return wm.publishIn(b, tx, i) })
			start := time.Now()
			a = append(a, float64((<-handled).Sub(start).Microseconds()))
			o.inTx(b, func(tx pgx.Tx) error {
				_, err := parley.Publish(ctx, o.outbox.In(tx), w.event, payload(i))
				return err
			})
			start = time.Now()
			p = append(p, float64((<-arrived).Sub(start).Microseconds()))
		}
		reportLatency(b, a, p)
	}
	stop()
	stopForwarder()
	for range 3 {
		if err := <-ended; err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	}
}
