package service

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/service/internal/servicetest"
	"github.com/parley-go/parley/service/settings"
)

// currentUser returns the user that the connection of a transaction is logged in as.
func currentUser(ctx context.Context, tx *Tx) (user string, err error) {
	if tx.Pgx != nil {
		err = tx.Pgx.QueryRow(ctx, "SELECT current_user").Scan(&user)
		return user, err
	}
	err = tx.SQL.QueryRowContext(ctx, "SELECT current_user()").Scan(&user)
	user, _, _ = strings.Cut(user, "@")
	return user, err
}

// secondLogin returns the database's URL with a new user, who may use the database and is dropped when the test ends.
func secondLogin(t *testing.T, database string, administer func(statement string) error) (as, user string) {
	t.Helper()
	user = testenv.Unique(t, "parley_b")
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, "of-b")
	statements, drop := []string{"CREATE ROLE " + user + " LOGIN PASSWORD 'of-b'"}, "DROP ROLE "+user
	if u.Scheme == "mysql" {
		statements = []string{"CREATE USER " + user + "@'%' IDENTIFIED BY 'of-b'", "GRANT ALL ON " + strings.TrimPrefix(u.Path, "/") + ".* TO " + user + "@'%'"}
		drop = "DROP USER " + user + "@'%'"
	}
	for _, statement := range statements {
		if err := administer(statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := administer(drop); err != nil {
			t.Error(err)
		}
	})
	return u.String(), user
}

func TestAnotherUserInTheURLFileIsUsedByTheNextConnection(t *testing.T) {
	for name, server := range map[string]func(t *testing.T) (first, second, user string){
		"PostgreSQL": func(t *testing.T) (first, second, user string) {
			first = testenv.Postgres(t)
			second, user = secondLogin(t, first, func(statement string) error {
				c, err := pgx.Connect(context.Background(), first)
				if err != nil {
					return err
				}
				defer c.Close(context.Background())
				_, err = c.Exec(context.Background(), statement)
				return err
			})
			return first, second, user
		},
		"MariaDB": func(t *testing.T) (first, second, user string) {
			dsn := testenv.MariaDB(t)
			second, user = secondLogin(t, servicetest.MySQLURL(t, dsn), func(statement string) error {
				db, err := sql.Open("mysql", dsn)
				if err != nil {
					return err
				}
				_, err = db.ExecContext(context.Background(), statement)
				return errors.Join(err, db.Close())
			})
			return servicetest.MySQLURL(t, dsn), second, user
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second, user := server(t)
			file := servicetest.WriteFile(t, "url", first)
			s := open(t, &settings.Settings{AppID: "test", Database: settings.Database{URLFile: file}}, nil)
			ctx := t.Context()
			err := s.InTx(ctx, func(*Tx) error { // its connection stays in use
				if err := os.WriteFile(file, []byte(second), 0o600); err != nil {
					return err
				}
				return s.InTx(ctx, func(tx *Tx) error {
					got, err := currentUser(ctx, tx)
					if err == nil && got != user {
						err = fmt.Errorf("the next connection is that of %q, want %q", got, user)
					}
					return err
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
