package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley"
)

var (
	ada = User{ID: 1, Name: "Ada"}
	bob = User{ID: 2, Name: "Bob"}
	eve = User{ID: 3, Name: "Eve"}
)

var errNameTaken = errors.New("the name is taken")

// publish renames u and publishes e in one transaction.
func (d *demo) publish(ctx context.Context, step string, e *parley.EventType[User], u User, options ...parley.PublishOption) error {
	err := d.store.InTx(ctx, u, func(in *parley.TxOutbox) error {
		_, err := parley.Publish(ctx, in, e, u, options...)
		return err
	})
	if err != nil {
		return err
	}
	d.log.from(e.RoutingKey(), time.Now())
	d.log.line(step, e.Exchange(), e.RoutingKey(), u, "")
	return nil
}

func (d *demo) rollBack(ctx context.Context) error {
	err := d.store.InTx(ctx, bob, func(in *parley.TxOutbox) error {
		if _, err := parley.Publish(ctx, in, Renamed, bob); err != nil {
			return err
		}
		return errNameTaken
	})
	if !errors.Is(err, errNameTaken) {
		return fmt.Errorf("the transaction that should roll back: %w", err)
	}
	d.log.line("rolled back", "user", Renamed.RoutingKey(), bob, "")
	return nil
}

func (d *demo) commit(ctx context.Context) error {
	err := d.publish(ctx, "committed", Renamed, ada)
	d.log.tell(Renamed.RoutingKey())
	return err
}

// schedule schedules two events. The one that will be cancelled is due first. If it were published by mistake, it would arrive before
// the other one, and so be detected.
func (d *demo) schedule(ctx context.Context) error {
	now := time.Now()
	err := d.publish(ctx, "scheduled", Remind, eve,
		parley.WithDueAt(now.Add(Delay-100*time.Millisecond)), parley.WithTags(parley.Tags{"user_id": eve.ID}))
	if err != nil {
		return err
	}
	due := now.Add(Delay)
	err = d.publish(ctx, "scheduled", Remind, ada, parley.WithDueAt(due), parley.WithTags(parley.Tags{"user_id": ada.ID}))
	d.log.from(Remind.RoutingKey(), due)
	d.log.tell(Remind.RoutingKey())
	return err
}

func (d *demo) cancel(ctx context.Context) error {
	var n int
	err := d.store.InTx(ctx, eve, func(in *parley.TxOutbox) (err error) {
		n, err = parley.Cancel(ctx, in, Remind, parley.Tags{"user_id": eve.ID})
		return err
	})
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("cancel by the tag user_id=%d: cancelled %d events, want 1", eve.ID, n)
	}
	d.log.line("cancelled", "user", Remind.RoutingKey(), eve, "by tag")
	return nil
}

// check compares the events that arrived with the expected ones.
func (d *demo) check(ctx context.Context) error {
	want := []arrival{{key: Renamed.RoutingKey(), user: ada}, {key: Remind.RoutingKey(), user: ada}, {key: Done.RoutingKey(), user: ada}}
	var errs []error
	close(d.arrived) // the consumer has ended
	for a := range d.arrived {
		d.story = append(d.story, a)
	}
	for i, a := range d.story {
		if i >= len(want) || a.key != want[i].key || a.user != want[i].user {
			errs = append(errs, fmt.Errorf("event %d is %q of %s, which should not have arrived", i+1, a.key, a.user.Name))
		}
	}
	if len(d.story) < len(want) {
		errs = append(errs, fmt.Errorf("%d events arrived, want %d", len(d.story), len(want)))
	}
	return errors.Join(append(errs, d.checkStore(ctx))...)
}

// checkStore checks the tables after the demo.
func (d *demo) checkStore(ctx context.Context) error {
	var errs []error
	st, err := d.store.Stats(ctx)
	errs = append(errs, err)
	if left := st.Due + st.Scheduled + st.Parked; left > 0 {
		errs = append(errs, fmt.Errorf("%d events are left in the outbox, want none", left))
	}
	n, err := d.store.Users(ctx)
	errs = append(errs, err)
	if n != 2 {
		errs = append(errs, fmt.Errorf("%d users were renamed, want 2: Ada and Eve, not Bob", n))
	}
	return errors.Join(errs...)
}

func (d *demo) summary(took time.Duration, err error) {
	if err != nil {
		d.log.text(fmt.Sprintf("\nThe demo FAILED:\n%v\n", err))
		return
	}
	d.log.text(fmt.Sprintf(`
Exactly the right events arrived, %d in total and each once: one of a committed transaction,
one scheduled for %v later, and one that marks the end of the demo.
The event of the rolled-back transaction and the cancelled one did not arrive. Took %.1fs.
`, len(d.story), Delay, took.Seconds()))
}
