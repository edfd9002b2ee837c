package service

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (a *app) migrateCommand() *cobra.Command {
	return group("migrate", "make and update the tables of outbox and inbox", a.migrateUp(), a.migrateStatus(), a.migrateSQL())
}

func (a *app) migrateUp() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "bring the tables up to date", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDatabase(cmd, func(ctx context.Context, s *Service) error {
				if err := s.Migrate(ctx); err != nil {
					return err
				}
				report(cmd.OutOrStdout(), "the tables are up to date")
				return nil
			})
		},
	}
}

func (a *app) migrateStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "list the migrations and whether they are applied", Args: NoArgs,
		Long: "Lists the migrations. Exit code 1 if one of them is not applied.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDatabase(cmd, func(ctx context.Context, s *Service) error {
				list, err := s.db.migrations(ctx)
				if err != nil {
					return err
				}
				pending := 0
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, m := range list {
					state := "applied"
					if !m.Applied {
						state = "pending"
						pending++
					}
					fmt.Fprintf(tw, "%d\t%s\t%s\n", m.Version, m.Name, state)
				}
				if err := tw.Flush(); err != nil || pending == 0 {
					return err
				}
				return &exitError{ExitFailed, fmt.Errorf("%d migrations are pending (%s migrate up)", pending, cmd.Root().Name())}
			})
		},
	}
}

func (a *app) migrateSQL() *cobra.Command {
	var dialect string
	c := &cobra.Command{
		Use: "sql", Short: "print the statements of all migrations", Args: NoArgs,
		Long: "Prints the statements of all migrations, for teams that run their own. Connects to nothing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dialect == "" {
				settings, err := Load(&LoadOptions{Flags: cmd.Flags()})
				if err != nil {
					return err
				}
				if err := settings.need("database.url"); err != nil {
					return err
				}
				dialect = settings.Database.scheme()
			}
			text, err := migrationSQL(dialect)
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
