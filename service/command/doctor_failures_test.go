package command

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestDoctorLooksAtTheTableOfFailedDeliveriesOnEveryDatabase(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			keep(t, openFlag(t, flag), "orders", parkedRow, waitingRow)
			_, out, _ := call(t, "doctor", flag, "--queue=orders")
			wantText(t, out, `fine     failed deliveries: consumer "orders" can use the table`,
				"waiting 1, behind others 0, running 0, parked 1", "1 message is parked: its handler kept failing")
		})
	}
}

func TestDoctorReportsAMissingTableOfFailedDeliveries(t *testing.T) {
	for kind, flag := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			s := openFlag(t, flag)
			err := s.InTx(t.Context(), func(tx *service.Tx) (err error) {
				if tx.Pgx != nil {
					_, err = tx.Pgx.Exec(t.Context(), "DROP TABLE parley_failed")
					return err
				}
				_, err = tx.SQL.ExecContext(t.Context(), "DROP TABLE parley_failed")
				return err
			})
			if err != nil && kind == "MariaDB" && strings.Contains(err.Error(), "DROP TABLE") {
				err = nil // there such a statement commits by itself, which InTx reports
			}
			if err != nil {
				t.Fatal(err)
			}
			wantText(t, mustCall(t, ExitFailed, "doctor", flag, "--queue=orders"), "problem  failed deliveries", "migrate up")
			wantText(t, mustCall(t, ExitUsage, "check", flag, "--queue=orders"), "cannot determine: failed deliveries")
			wantText(t, mustCall(t, ExitOK, "check", flag), "note: failed deliveries: cannot determine") // optional for a relay
		})
	}
}

func TestDoctorFindsRetriesThatNoProcessRuns(t *testing.T) {
	flag := sqliteURL(t)
	s := openFlag(t, flag)
	d := &doctor{s: s, timeout: time.Minute}
	keep(t, s, "orders", waitingRow)
	d.consumerState(&consumerState{name: "old", FailureStats: parley.FailureStats{Waiting: 1, OldestWaiting: time.Hour}})
	d.consumerState(&consumerState{name: "new", own: true, FailureStats: parley.FailureStats{Waiting: 1, OldestWaiting: time.Hour}})
	var problems []string
	for _, f := range d.found {
		if f.Level == parley.FindingProblem {
			problems = append(problems, f.Detail+" "+f.Hint)
		}
	}
	if len(problems) != 2 {
		t.Fatalf("problems are %q, want one for each consumer", problems)
	}
	wantText(t, problems[0], "overdue for 1h0m0s", `parked move --consumer "old" NEW`)
	wantText(t, problems[1], "is the consumer running")
}

func TestDoctorWarnsOfADatabaseThatTheConsumerDoesNotUse(t *testing.T) {
	wantText(t, mustCall(t, ExitOK, "doctor", sqliteURL(t), "--queue=orders", "--consumer-failures-store=queue"), "warning  failed deliveries", "retries and parked messages are on the broker")
}

// Consumers of the Python library drop retry copies.
func TestDoctorReportsAConsumerOfAnotherLibraryAndClassicRetryQueues(t *testing.T) {
	name, url := testenv.Unique(t, "parley_doctor"), testenv.RabbitMQ(t)
	servicetest.CleanUp(t, name)
	flags := []string{"doctor", "--broker-url=" + url, "--queue=" + name}
	servicetest.Rabbit(t, func(ctx context.Context, b *rabbitmq.Broker) error {
		old := parley.Queue{Name: name + ".retry.10s", TTL: 10 * time.Second, DeadLetterTo: name} // as earlier versions declared it
		if err := b.Declare(ctx, parley.Topology{Queues: []parley.Queue{{Name: name}, old}}); err != nil {
			return err
		}
		other, err := b.Subscribe(ctx, name, parley.SubscribeOptions{Prefetch: 1})
		if err != nil {
			return err
		}
		out := mustCall(t, ExitFailed, flags...)
		wantText(t, out, "1 consumer is of another library", "drops every retry copy", `problem  queue "`+name+`.retry.10s": can lose messages`, "delete it",
			`fine     queue "`+name+`.parked": does not exist yet`)
		_, withDatabase, _ := call(t, append(flags, "--database-url=sqlite:"+filepath.Join(t.TempDir(), "x.db"))...)
		if got := withDatabase; len(got) == 0 || contains(got, "is of another library") || contains(got, "can lose messages") {
			t.Errorf("with a database there are no retry copies, but the doctor reports\n%s", got)
		}
		return other.Close()
	})
}
