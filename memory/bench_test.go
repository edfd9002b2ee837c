package memory_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// batchOf returns n messages of 300 bytes for queue "q".
func batchOf(n int) []parley.Message {
	batch := to("q", n)
	for i := range batch {
		batch[i].Body = make([]byte, 300)
	}
	return batch
}

func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			broker := open(b, parley.Queue{Name: "q"})
			batch := batchOf(size)
			b.ReportAllocs()
			for b.Loop() {
				publish(b, broker, batch...)
				if _, err := broker.Purge(context.Background(), "q"); err != nil {
					b.Fatal(err)
				}
			}
			rate(b, size)
		})
	}
}

func BenchmarkPublishConsumeAck(b *testing.B) {
	for _, size := range []int{1, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			broker := open(b, parley.Queue{Name: "q"})
			s := subscribe(b, broker, "q", 1000)
			batch := batchOf(size)
			b.ReportAllocs()
			for b.Loop() {
				publish(b, broker, batch...)
				for range batch {
					if err := next(b, s).Settle(parley.SettleAck); err != nil {
						b.Fatal(err)
					}
				}
			}
			rate(b, size)
		})
	}
}

func BenchmarkOutbox(b *testing.B) {
	for _, scheduled := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("scheduled=%d", scheduled), func(b *testing.B) {
			s := memory.NewStore()
			ctx := context.Background()
			later := make([]parley.Record, scheduled)
			for i := range later {
				later[i] = reminder(fmt.Sprint(i), time.Now().Add(time.Hour))
			}
			tx := begin(b, s)
			insert(b, s, tx, later...)
			_ = tx.Commit(ctx)
			records := make([]parley.Record, 1000)
			for i, m := range batchOf(len(records)) {
				records[i].Message = m
			}
			b.ReportAllocs()
			for b.Loop() {
				moveThrough(b, s, records)
			}
			rate(b, len(records))
		})
	}
}

// moveThrough inserts records one transaction each, and settles them in one batch.
func moveThrough(b *testing.B, s *memory.Store, records []parley.Record) {
	ctx := context.Background()
	for i := range records {
		tx := begin(b, s)
		insert(b, s, tx, records[i])
		if err := tx.Commit(ctx); err != nil {
			b.Fatal(err)
		}
	}
	batch, err := s.Claim(ctx, parley.ClaimOptions{Limit: len(records)})
	if err != nil {
		b.Fatal(err)
	}
	var sent []int64
	for _, r := range batch.Records() {
		sent = append(sent, r.ID)
	}
	if missing, err := batch.Settle(ctx, sent, nil); err != nil || missing != 0 || len(sent) != len(records) {
		b.Fatalf("settled %d of %d, %d missing, %v", len(sent), len(records), missing, err)
	}
}

func rate(b *testing.B, perLoop int) {
	b.ReportMetric(float64(b.N)*float64(perLoop)/b.Elapsed().Seconds(), "msg/s")
}
