package command

import (
	"context"
	neturl "net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/servicetest"
)

func TestDoctorNamesATransactionThatHoldsDueRecords(t *testing.T) {
	for name, url := range map[string]string{"PostgreSQL": testenv.Postgres(t), "MariaDB": servicetest.MySQLURL(t, testenv.MariaDB(t))} {
		t.Run(name, func(t *testing.T) {
			flag := "--database-url=" + url
			mustCall(t, ExitOK, "migrate", "up", flag)
			s := openFlag(t, flag)
			event, tags := parley.NewEvent[map[string]int]("locks", "x"), parley.Tags{"a": 1}
			err := s.InTx(t.Context(), func(tx *service.Tx) error {
				_, err := parley.Publish(t.Context(), s.Outbox.In(tx), event, map[string]int{}, parley.WithDueAt(time.Now().Add(-time.Second)), parley.WithTags(tags))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			err = s.InTx(t.Context(), func(tx *service.Tx) error {
				if n, err := parley.Cancel(t.Context(), s.Outbox.In(tx), event, tags); n != 1 || err != nil {
					t.Errorf("cancelled %d (%v), want 1", n, err)
				}
				limit := time.Now().Add(30 * time.Second)
				for {
					_, out, _ := call(t, "doctor", flag)
					if strings.Contains(out, "has locked records") {
						return nil
					}
					if time.Now().After(limit) {
						t.Fatalf("the doctor does not name the transaction:\n%s", out)
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// PostgreSQL hides the queries of other roles, so the doctor cannot conclude that no runpublisher is running.
func TestDoctorReportsThatItCannotSeeSessionsOfOtherRoles(t *testing.T) {
	url := testenv.Postgres(t)
	owner, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(context.Background())
	role := strings.ReplaceAll(testenv.Unique(t, "parley_doctor_role"), "-", "_")
	for _, q := range []string{"CREATE ROLE " + role + " LOGIN PASSWORD 'limited'", `LISTEN "public_eventqueued"`} {
		if _, err := owner.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	defer owner.Exec(context.Background(), "DROP ROLE "+role)
	limited, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	limited.User = neturl.UserPassword(role, "limited")
	flags := []string{"doctor", "--database-url=" + limited.String(), "--database-table=services_communication_publishedeventqueue"}
	_, out, _ := call(t, flags...)
	if strings.Contains(out, "no runpublisher") || !strings.Contains(out, "cannot determine whether a runpublisher") {
		t.Errorf("the session of a runpublisher is hidden, but the doctor reports\n%s", out)
	}
}
