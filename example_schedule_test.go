package parley_test

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

type reminder struct {
	UserID int64 `json:"user_id"`
}

var remindPhoto = parley.NewEvent[reminder]("account", "remind.photo")

// planned returns a store in which reminders for the users 1 to 3 are scheduled.
func planned(ctx context.Context, at time.Time) (*memory.Store, *parley.Outbox[*memory.Tx]) {
	store := memory.NewStore()
	outbox, err := parley.NewOutbox(store, nil)
	if err != nil {
		panic(err)
	}
	for id := range int64(3) {
		err := store.InTx(ctx, func(tx *memory.Tx) error {
			_, err := parley.Publish(ctx, outbox.In(tx), remindPhoto, reminder{id + 1},
				parley.WithDueAt(at), parley.WithTags(parley.Tags{"user_id": id + 1, "channel": "mail"}))
			return err
		})
		if err != nil {
			panic(err)
		}
	}
	return store, outbox
}

// A scheduled event waits in the outbox; Cancel finds it by its tags.
func ExampleCancel() {
	ctx := context.Background()
	store, outbox := planned(ctx, time.Now().Add(24*time.Hour))
	err := store.InTx(ctx, func(tx *memory.Tx) error {
		// Tag values are compared as strings: 2 is "2". Any subset of the tags will do.
		n, err := parley.Cancel(ctx, outbox.In(tx), remindPhoto, parley.Tags{"user_id": "2"})
		fmt.Println("cancelled:", n)
		return err
	})
	fmt.Println(err, "left:", len(store.Pending()))
	// Output:
	// cancelled: 1
	// <nil> left: 2
}

// An operator works with the ids that a list shows.
func ExampleCancelID() {
	ctx := context.Background()
	day := time.Date(2030, 5, 1, 8, 0, 0, 0, time.UTC)
	store, outbox := planned(ctx, day)
	err := store.InTx(ctx, func(tx *memory.Tx) error {
		in := outbox.In(tx)
		r, ok, err := parley.ScheduledID(ctx, in, 2)
		fmt.Println("found:", ok, r.Tags["user_id"], err)
		moved, err := parley.RescheduleID(ctx, in, 2, day.AddDate(0, 0, 1))
		fmt.Println("moved:", moved, err)
		cancelled, err := parley.CancelID(ctx, in, 3)
		fmt.Println("cancelled:", cancelled, err)
		_, err = parley.CancelID(ctx, in, 0)
		fmt.Println(err)
		return nil
	})
	fmt.Println(err, "left:", len(store.Pending()))
	// Output:
	// found: true 2 <nil>
	// moved: true <nil>
	// cancelled: true <nil>
	// parley: cancel scheduled message 0: id "0": must be positive
	// <nil> left: 2
}

func ExampleReschedule() {
	ctx := context.Background()
	day := time.Date(2030, 5, 1, 8, 0, 0, 0, time.UTC)
	store, outbox := planned(ctx, day)
	err := store.InTx(ctx, func(tx *memory.Tx) error {
		n, err := parley.Reschedule(ctx, outbox.In(tx), remindPhoto, parley.Tags{"channel": "mail"}, day.AddDate(0, 0, 1))
		fmt.Println("moved:", n)
		return err
	})
	if err != nil {
		panic(err)
	}
	for _, r := range store.Pending() {
		fmt.Println(r.ID, r.DueAt.UTC().Format(time.DateOnly))
	}
	// Output:
	// moved: 3
	// 1 2030-05-02
	// 2 2030-05-02
	// 3 2030-05-02
}

func ExampleScheduled() {
	ctx := context.Background()
	store, outbox := planned(ctx, time.Date(2030, 5, 1, 8, 0, 0, 0, time.UTC))
	err := store.InTx(ctx, func(tx *memory.Tx) error {
		records, err := parley.Scheduled(ctx, outbox.In(tx), remindPhoto, parley.Tags{"user_id": 3}, 10)
		for _, r := range records {
			fmt.Println(r.ID, r.DueAt.UTC().Format(time.RFC3339), r.Tags["user_id"], r.Tags["channel"])
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output: 3 2030-05-01T08:00:00Z 3 mail
}

// WithUnlessTags keeps one reminder per user, however often the user asks for it.
func ExampleWithUnlessTags() {
	ctx := context.Background()
	at := time.Now().Add(24 * time.Hour)
	store, outbox := planned(ctx, at)
	tags := parley.Tags{"user_id": 1}
	err := store.InTx(ctx, func(tx *memory.Tx) error {
		id, err := parley.Publish(ctx, outbox.In(tx), remindPhoto, reminder{1}, parley.WithDueAt(at), parley.WithTags(tags), parley.WithUnlessTags(tags))
		fmt.Println("id:", id)
		return err
	})
	fmt.Println(err, len(store.Pending()))
	// Output:
	// id: 0
	// <nil> 3
}
