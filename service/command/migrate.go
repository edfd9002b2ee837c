package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/settings"
)

func (a *app) migrateCommand() *cobra.Command {
	return group("migrate", "create and update the tables of outbox, inbox and failed deliveries", a.migrateUp(), a.migrateStatus(), a.migrateSQL())
}

func (a *app) migrateUp() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "apply all pending migrations", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDatabaseFor(cmd, readWrite, func(ctx context.Context, s *service.Service) error {
				before, err := s.Database().Migrations(ctx)
				if err != nil {
					return err
				}
				if err := s.Migrate(ctx); err != nil {
					return err
				}
				if n := pending(before); n > 0 {
					report(cmd.OutOrStdout(), "applied %s", counted(int64(n), "migration", "migrations"))
				}
				report(cmd.OutOrStdout(), "the tables are up to date")
				return nil
			})
		},
	}
}

// pending returns how many migrations are not applied.
func pending(list []service.Migration) (n int) {
	for _, m := range list {
		if !m.Applied {
			n++
		}
	}
	return n
}

func (a *app) migrateStatus() *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use: "status", Short: "list the migrations and whether they are applied", Args: NoArgs,
		Long: "Lists the migrations. It changes nothing. The exit code is 1 if a migration is pending.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			return a.withDatabaseFor(cmd, readOnly, func(ctx context.Context, s *service.Service) error {
				list, err := s.Database().Migrations(ctx)
				if err != nil {
					return err
				}
				table := o.List(cmd.OutOrStdout(), output.Columns("VERSION", "NAME", "STATE")...)
				for _, m := range list {
					state := "applied"
					if !m.Applied {
						state = "pending"
					}
					if err := table.Add(object{"version": m.Version, "name": m.Name, "state": state}, fmt.Sprint(m.Version), m.Name, state); err != nil {
						return err
					}
				}
				missing := pending(list)
				if err := table.Close(); err != nil || missing == 0 {
					return err
				}
				return &exitError{ExitFailed, fmt.Errorf("%s pending (run \"%s migrate up\")", counted(int64(missing), "migration is", "migrations are"), cmd.Root().Name())}
			})
		},
	}
	o.Add(c)
	return c
}

func (a *app) migrateSQL() *cobra.Command {
	var dialect string
	c := &cobra.Command{
		Use: "sql", Short: "print the statements of all migrations", Args: NoArgs,
		Long: `Prints the statements of migrate up on a new database, for teams with a migration tool of their own. It does not connect to the database.
The settings database.schema, database.poll_only and consumer.failures.table apply.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load(&settings.LoadOptions{Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			if dialect == "" {
				if err := s.Need("database.url"); err != nil {
					return err
				}
				dialect = s.Database.Scheme()
			}
			text, err := service.MigrationSQL(dialect, s)
			if err != nil {
				return usage(cmd, err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	c.Flags().StringVar(&dialect, "dialect", "", "postgres, mysql or sqlite (default: that of database.url)")
	return c
}
