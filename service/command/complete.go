package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/settings"
)

// completionTimeout bounds what a shell waits for after the tab key. completionLimit is the most values that it gets.
const (
	completionTimeout = 2 * time.Second
	completionLimit   = 50
)

type completion = cobra.CompletionFunc

// completeFrom returns a completion of values of the service: from its settings or its database. Errors give no values: the shell
// shows none, and the command itself reports them.
func (a *app) completeFrom(values func(ctx context.Context, s *service.Service) ([]string, error)) completion {
	return func(cmd *cobra.Command, given []string, prefix string) ([]string, cobra.ShellCompDirective) {
		loaded, err := settings.Load(&settings.LoadOptions{Flags: cmd.Flags()})
		if err != nil || sqliteExists(cmd, loaded) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		s, err := service.Open(loaded, &service.Config{LogOutput: discard{}})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := values(ctx, s)
		if closeErr := s.Close(ctx); err != nil || closeErr != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found = slices.DeleteFunc(found, func(value string) bool {
			id, _, _ := strings.Cut(value, "\t")
			return !strings.HasPrefix(value, prefix) || slices.Contains(given, id)
		})
		return found[:min(len(found), completionLimit)], cobra.ShellCompDirectiveNoFileComp
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// atMostArgs limits a completion to n arguments; -1 means no limit.
func atMostArgs(n int, next completion) completion {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if n >= 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return next(cmd, args, prefix)
	}
}

// described adds the text that shells show beside a value.
func described(value, text string) string { return value + "\t" + parley.CleanText(text, 80) }

// completeParked completes the ids of parked messages in the database. Those in parked queues are left out: a visit takes too long.
func (a *app) completeParked(n int) completion {
	return atMostArgs(n, a.completeFrom(func(ctx context.Context, s *service.Service) (out []string, err error) {
		if s.Database() == nil {
			return nil, nil
		}
		records, err := s.Database().ListParked(ctx, 0, completionLimit)
		if err != nil {
			return nil, err
		}
		for i := range records {
			r := &records[i]
			out = append(out, described(fmt.Sprintf("o%d", r.ID), r.Exchange+"/"+r.RoutingKey+": "+r.Reason))
		}
		rows, err := s.Database().Failures().Newest(ctx, completionLimit)
		for i := range rows {
			r := &rows[i]
			out = append(out, described(fmt.Sprintf("c%d", r.ID), string(r.State)+" "+r.Message.Exchange+"/"+r.Message.RoutingKey+": "+r.History.LastError))
		}
		return out, err
	}))
}

// completeScheduled completes the ids of scheduled messages.
func (a *app) completeScheduled(n int) completion {
	return atMostArgs(n, a.completeFrom(func(ctx context.Context, s *service.Service) (out []string, err error) {
		if s.Database() == nil {
			return nil, nil
		}
		err = s.InTx(ctx, func(tx *service.Tx) error {
			list, err := parley.Scheduled(ctx, s.Outbox.In(tx), &selector{}, nil, completionLimit)
			for i := range list {
				r := &list[i]
				out = append(out, described(fmt.Sprint(r.ID), r.DueAt.UTC().Format(time.RFC3339)+" "+r.Exchange+"/"+r.RoutingKey+" "+tagText(r.Tags)))
			}
			return err
		})
		return out, err
	}))
}

// completeConsumers completes the names of consumers: those of the settings and those that have rows.
func (a *app) completeConsumers() completion {
	return a.completeFrom(func(ctx context.Context, s *service.Service) ([]string, error) {
		out := ownConsumers(s)
		if s.Database() != nil {
			names, err := s.Database().Failures().Consumers(ctx)
			if err != nil {
				return out, nil //nolint:nilerr // the names of the settings are enough
			}
			out = append(out, names...)
		}
		slices.Sort(out)
		return slices.Compact(out), nil
	})
}

// completeExchanges completes the exchanges of the settings.
func (a *app) completeExchanges() completion {
	return a.completeFrom(func(_ context.Context, s *service.Service) (out []string, _ error) {
		for _, e := range s.Settings.Exchanges {
			out = append(out, e.Name)
		}
		for _, q := range s.Settings.AllQueues() {
			for _, b := range q.Binds {
				out = append(out, b.Exchange)
			}
		}
		slices.Sort(out)
		return slices.Compact(out), nil
	})
}

// completeFlags adds the completion of values to all flags that have one, in all commands.
func (a *app) completeFlags(c *cobra.Command) {
	for name, complete := range map[string]completion{
		"exchange": a.completeExchanges(), "consumer": a.completeConsumers(), "dialect": cobra.FixedCompletions([]string{"postgres", "mysql", "sqlite"}, cobra.ShellCompDirectiveNoFileComp),
		"mode": cobra.FixedCompletions([]string{"ordered", "parallel"}, cobra.ShellCompDirectiveNoFileComp),
		"rate": cobra.FixedCompletions([]string{"1/s", "10/s", "50/s", "100/m"}, cobra.ShellCompDirectiveNoFileComp),
	} {
		if c.Flags().Lookup(name) != nil {
			must(c.RegisterFlagCompletionFunc(name, complete))
		}
	}
	for _, sub := range c.Commands() {
		a.completeFlags(sub)
	}
}

// completeSettings adds the completion of the flags of settings that have a list of values, and of the queue.
func (a *app) completeSettings(root *cobra.Command) {
	for flag, values := range settings.FlagValues() {
		if root.PersistentFlags().Lookup(flag) != nil {
			must(root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
		}
	}
	if root.PersistentFlags().Lookup("queue") != nil {
		must(root.RegisterFlagCompletionFunc("queue", a.completeFrom(func(_ context.Context, s *service.Service) (out []string, _ error) {
			for _, q := range s.Settings.AllQueues() {
				out = append(out, q.Name)
			}
			return out, nil
		})))
	}
}

// must panics if a completion cannot be registered: its flag does not exist.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
