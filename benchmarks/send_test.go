//go:build !race

package benchmarks_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/parley-go/parley"
)

// commands returns n commands as Send publishes them.
func (w *bench) commands(b *testing.B, n int) (*parley.CommandType[user], []parley.Message) {
	b.Helper()
	c := parley.NewCommand[user](w.exchange, "rename")
	out := make([]parley.Message, n)
	for i := range out {
		out[i] = must(c.Record(payload(i))).Message
	}
	return c, out
}

// fromCallers calls f with the numbers 0 to n-1 from several goroutines.
func fromCallers(n, callers int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	wg.Wait()
}

// sendFrom returns a side that sends n commands, each confirmed before its caller sends the next.
func (w *bench) sendFrom(callers, n int, c *parley.CommandType[user]) func(b *testing.B) int {
	return func(b *testing.B) int {
		b.Helper()
		timed(func() {
			fromCallers(n, callers, func(i int) {
				if err := parley.Send(b.Context(), w.broker, c, payload(i)); err != nil {
					b.Error(err)
				}
			})
		})
		w.purge(b, n)
		return n
	}
}

func (w *bench) rawSend(messages []parley.Message, window int) func(b *testing.B) int {
	return func(b *testing.B) int {
		b.Helper()
		timed(func() { w.rawPublish(b, messages, window) })
		w.purge(b, len(messages))
		return len(messages)
	}
}

// BenchmarkSend64Callers sends commands from 64 goroutines, against raw pipelined publishing with a
// window of 1000.
func BenchmarkSend64Callers(b *testing.B) { send64(b, 1000) }

// BenchmarkSend64CallersSameWindow does the same against raw publishing with at most 64
// messages in flight. It separates the cost of parley from that of the smaller window.
func BenchmarkSend64CallersSameWindow(b *testing.B) { send64(b, 64) }

func send64(b *testing.B, window int) {
	b.Helper()
	n := size()
	w := setUp(b)
	c, messages := w.commands(b, n)
	for range b.N {
		compare(b, side{"raw", w.rawSend(messages, window)}, side{"parley Send, 64 callers", w.sendFrom(64, n, c)})
	}
}

// BenchmarkSend1Caller sends one command after another, against a raw client that waits for each confirm.
func BenchmarkSend1Caller(b *testing.B) {
	n := max(size()/10, 1)
	w := setUp(b)
	c, messages := w.commands(b, n)
	for range b.N {
		compare(b, side{"raw, window 1", w.rawSend(messages, 1)}, side{"parley Send, 1 caller", w.sendFrom(1, n, c)})
	}
}

// BenchmarkSendWatermill does the same from 64 goroutines with Watermill's publisher, which has a channel for each of them,
// and waits for each confirm.
func BenchmarkSendWatermill(b *testing.B) {
	n := size() / 2
	w := setUp(b)
	c, messages := w.commands(b, n)
	cfg := wamqp.NewDurableTopicConfig(w.url, w.exchange, w.queue)
	cfg.Exchange.Durable = true
	cfg.Publish.ConfirmDelivery, cfg.Publish.ChannelPoolSize = true, 64
	publisher := must(wamqp.NewPublisher(cfg, watermill.NopLogger{}))
	defer publisher.Close()
	for range b.N {
		compare(b,
			side{"watermill, 64 callers", func(b *testing.B) int {
				timed(func() {
					fromCallers(n, 64, func(i int) {
						if err := publisher.Publish("rename", message.NewMessage(watermill.NewUUID(), messages[i].Body)); err != nil {
							b.Error(err)
						}
					})
				})
				w.purge(b, n)
				return n
			}},
			side{"parley Send, 64 callers", w.sendFrom(64, n, c)})
	}
}
