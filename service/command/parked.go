package command

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
)

// parkedFlags are the flags that the parked commands share.
type parkedFlags struct {
	parkedFilter
	allConsumers bool
	outbox       bool
}

func (f *parkedFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.exchange, "exchange", "", "only this exchange; may contain the wildcards * and ?")
	c.Flags().StringVar(&f.routingKey, "routing-key", "", "only this routing key; may contain the wildcards * and ?")
	c.Flags().StringVar(&f.reason, "reason", "", "only messages whose reason contains this text; for retries, whose last error contains it")
	c.Flags().StringVar(&f.consumer, "consumer", "", "only failed deliveries of this consumer (default: the consumer of the settings, and the outbox)")
	c.Flags().BoolVar(&f.allConsumers, "all-consumers", false, "only failed deliveries, of all consumers in the database")
	c.Flags().BoolVar(&f.outbox, "outbox", false, "only records of the outbox")
	c.Flags().BoolVar(&f.waiting, "waiting", false, "pending retries instead of parked messages")
}

func (f *parkedFlags) parse(cmd *cobra.Command, ids []string) error {
	f.ids = ids
	for _, id := range ids {
		if err := checkID(id); err != nil {
			return usage(cmd, err)
		}
	}
	if f.after != "" {
		if err := checkID(f.after); err != nil {
			return usage(cmd, fmt.Errorf("--after: %w", err))
		}
	}
	for _, pattern := range [...]string{f.exchange, f.routingKey} {
		if _, err := path.Match(pattern, ""); err != nil {
			return usage(cmd, fmt.Errorf("pattern %q: %w", pattern, err))
		}
	}
	places := 0
	for _, given := range [...]bool{f.consumer != "", f.allConsumers, f.outbox} {
		if given {
			places++
		}
	}
	switch {
	case places > 1:
		return usage(cmd, errors.New("give one of --consumer, --all-consumers and --outbox"))
	case f.outbox && f.waiting:
		return usage(cmd, errors.New("--waiting does not apply to --outbox: scheduled ls lists records that are due later"))
	}
	return nil
}

// chosen requires ids, a filter or --all. An empty filter must not select everything.
func (f *parkedFlags) chosen(cmd *cobra.Command) error {
	picked := len(f.ids) > 0 || f.exchange != "" || f.routingKey != "" || f.reason != ""
	if picked == f.all {
		return usage(cmd, errors.New("give ids or a filter, or --all"))
	}
	return nil
}

// text returns the filter for the action log.
func (f *parkedFlags) text() string {
	var parts []string
	for _, c := range []struct{ name, value string }{
		{"ids", strings.Join(f.ids, ",")}, {"exchange", f.exchange}, {"routing_key", f.routingKey}, {"reason", f.reason}, {"consumer", f.consumer},
	} {
		if c.value != "" {
			parts = append(parts, c.name+"="+strconv.Quote(c.value))
		}
	}
	for _, c := range []struct {
		name  string
		given bool
	}{{"all-consumers", f.allConsumers}, {"outbox", f.outbox}, {"waiting", f.waiting}, {"all", f.all}} {
		if c.given {
			parts = append(parts, c.name)
		}
	}
	return strings.Join(parts, " ")
}

// A parkedSet holds the places that a command visits.
type parkedSet struct {
	s      *service.Service
	places []parkedPlace
}

// visit visits the places in their order. An unreachable place does not prevent the visit of the others.
func (set parkedSet) visit(ctx context.Context, f *parkedFilter, do func(p *parkedItem) (parley.ParkedAction, error)) (parkedCount, error) {
	var total parkedCount
	var errs []error
	enough := false
	for _, place := range set.places {
		if enough || !f.reaches(place.letter()) {
			continue
		}
		count, err := place.visit(ctx, f, func(p *parkedItem) (parley.ParkedAction, error) {
			action, err := do(p)
			enough = enough || errors.Is(err, errEnough)
			return action, err
		})
		total.done += count.done
		total.running += count.running
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}

// parked opens the service and calls do with the places that the flags select.
func (a *app) parked(cmd *cobra.Command, f *parkedFlags, do func(ctx context.Context, set parkedSet) error) error {
	return a.with(cmd, nil, func(ctx context.Context, s *service.Service) error {
		set := parkedSet{s: s, places: parkedPlaces(s, f)}
		if len(set.places) > 0 {
			return do(ctx, set)
		}
		return noPlace(s, cmd, f)
	})
}

// parkedPlaces returns the configured places that the flags select.
func parkedPlaces(s *service.Service, f *parkedFlags) (places []parkedPlace) {
	own, named, ids := ownConsumers(s), f.consumer != "", len(f.ids) > 0
	switch {
	case named || f.allConsumers:
	case len(own) == 1:
		f.consumer = own[0]
	default:
		f.own = own
	}
	if s.Database() != nil && !s.Settings.Database.URL.IsMemory() {
		if f.outbox || ids || !named && !f.waiting {
			places = append(places, parkedRows{s.Database()})
		}
		if !f.outbox {
			places = append(places, parkedFailures{s.Database().Failures()})
		}
	}
	if s.Broker == nil || s.Settings.Broker.URL.IsMemory() || f.outbox {
		return places
	}
	for _, q := range parkedQueuesOf(s) {
		if ids || !f.waiting && (!named || f.allConsumers || f.consumer == q.consumer) {
			places = append(places, q)
		}
	}
	return places
}

// parkedQueuesOf returns the parked queues of the consumers of the settings.
func parkedQueuesOf(s *service.Service) (out []parkedQueue) {
	for _, q := range s.Settings.RunQueues() {
		out = append(out, parkedQueue{broker: s.Broker, queue: q.Name, consumer: q.ConsumerName, secrets: s.Settings.ConsumerSecrets()})
	}
	return out
}

// noPlace returns the reason why the flags select no place.
func noPlace(s *service.Service, cmd *cobra.Command, f *parkedFlags) error {
	switch {
	case s.Settings.Database.URL.IsMemory(), s.Settings.Broker.URL.IsMemory():
		return separate(s.Settings, cmd.CommandPath())
	case s.Broker != nil && f.waiting:
		return usage(cmd, errors.New("retries in retry queues cannot be listed, only those in a database (set database.url)"))
	case s.Broker != nil && !f.outbox && len(s.Settings.AllQueues()) == 0:
		return s.Settings.Need("queue")
	}
	return s.Settings.Need("database.url")
}

func (a *app) parkedCommand() *cobra.Command {
	c := group("parked", "list, replay, edit and drop parked messages (dead letters)",
		a.parkedList(), a.parkedGroups(), a.parkedShow(), a.parkedReplay(), a.parkedDrop(), a.parkedExport(), a.parkedEdit(), a.parkedMove(), a.parkedReturn())
	c.Long = `Lists, replays, edits and drops parked messages. They are in one list. The first letter of an id is the place of the message:
o12  a record in the outbox's database that the broker can never accept
c34  a delivery in the consumer's database whose handler kept failing
q…   such a delivery in <queue>.parked on the broker, of a consumer without a database
A replayed message keeps its identity and its history.`
	return c
}

// placeOf returns the place of the message with an id.
func (set parkedSet) placeOf(id string) (parkedPlace, error) {
	for _, place := range set.places {
		if place.letter() == id[0] {
			return place, nil
		}
	}
	if id[0] == queueLetter {
		return nil, errors.Join(fmt.Errorf("%s is in a parked queue", id), set.s.Settings.Need("broker.url", "queue"))
	}
	return nil, errors.Join(fmt.Errorf("%s is in the database", id), set.s.Settings.Need("database.url"))
}
