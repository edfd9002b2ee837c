package command

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/internal/output"
	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

func (a *app) settingsCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check", Short: "check the settings; the exit code is 2 if there is a mistake", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load(&settings.LoadOptions{Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			if err := service.CheckDatabase(s); err != nil {
				return &exitError{ExitUsage, err}
			}
			for _, w := range s.Warnings() {
				report(cmd.OutOrStdout(), "warning: %s", terminal.Printable(w))
			}
			if s.Database.URL == "" && !s.HasBroker() {
				report(cmd.OutOrStdout(), "warning: database.url and broker.url are not set (is there a settings file? name it with --settings)")
			}
			report(cmd.OutOrStdout(), "the settings are valid")
			return nil
		},
	}
	var o output.Options
	show := &cobra.Command{
		Use: "show", Short: "show every setting with its value and source; secrets are hidden", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, &o); err != nil {
				return err
			}
			s, err := settings.Load(&settings.LoadOptions{Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			return o.Document(cmd.OutOrStdout(), s.Show(), func(w io.Writer) error { return settings.Write(w, s.Show()) })
		},
	}
	o.Add(show)
	schema := &cobra.Command{
		Use: "schema", Short: "print the JSON Schema of the settings file, for editors", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := settings.Schema()
			if err == nil {
				report(cmd.OutOrStdout(), "%s", text)
			}
			return err
		},
	}
	return group("settings", "check and show the settings", check, show, schema)
}
