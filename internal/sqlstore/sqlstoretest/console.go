package sqlstoretest

import (
	"context"
	"strings"

	"github.com/parley-go/parley"
)

// A ConsoleStore is what a console and a status read of an outbox and of what operators did.
type ConsoleStore[Tx any] interface {
	parley.OutboxStore[Tx]
	parley.OutboxSummarizer
	parley.DueLister
	parley.ParkedStore
	parley.ActionLog
	parley.ControlStore
}

// ConsoleFailures is what they read of the failed deliveries.
type ConsoleFailures interface {
	parley.FailureOperator
	parley.FailureGrouper
}

// A ConsoleQuery is a query of a console or a status, and the most rows that it may read, however many there are.
type ConsoleQuery struct {
	Name string
	Rows int
	Run  func(ctx context.Context) error
}

// The limits of the pages, as in package console, and of a status.
const (
	consolePage      = 500
	consoleDue       = 1000
	consoleScheduled = 1000
	consoleGroups    = 25
	statusLimit      = 10_000
)

// ConsoleQueries returns the queries of all pages of a console and of a status, on tables that a [Filler] has filled.
func ConsoleQueries[Tx any](store ConsoleStore[Tx], f ConsoleFailures, inTx InTx[Tx]) []ConsoleQuery {
	rare, common := ConsoleTags()
	parked := []parley.FailureState{parley.FailureParked}
	waiting := []parley.FailureState{parley.FailureWaiting, parley.FailureBehind, parley.FailureRunning}
	list := func(name string, rows int, q parley.FailureQuery, limit int) ConsoleQuery {
		return ConsoleQuery{"failed deliveries: " + name, rows, func(ctx context.Context) error { _, err := f.List(ctx, q, 0, limit); return err }}
	}
	scheduled := func(name string, rows int, sel parley.Selection, limit int) ConsoleQuery {
		return ConsoleQuery{"scheduled: " + name, rows, func(ctx context.Context) error {
			return inTx(ctx, func(tx Tx) error { _, err := store.Scheduled(ctx, tx, sel, limit); return err })
		}}
	}
	const each = 4 // rows that are read for one of the result: of the index, of the table, of its bodies
	return []ConsoleQuery{
		{"summary", 5 * statusLimit, func(ctx context.Context) error { _, err := store.Summary(ctx, statusLimit); return err }},
		{"lag", 100, func(ctx context.Context) error { _, err := store.Summary(ctx, 1); return err }},
		{"due records", each * consoleDue, func(ctx context.Context) error { _, err := store.Due(ctx, consoleDue); return err }},
		{"parked records", each * consolePage, func(ctx context.Context) error { _, err := store.ListParked(ctx, 0, consolePage); return err }},
		{"actions", each * 200, func(ctx context.Context) error {
			_, err := store.Actions(ctx, parley.ActionQuery{Limit: 200})
			return err
		}},
		{"pauses", 100, func(ctx context.Context) error { _, err := store.Pauses(ctx); return err }},
		{"consumers", 100, func(ctx context.Context) error { _, err := f.Consumers(ctx); return err }},
		{"stats", 7 * parley.FailureStatsCap, func(ctx context.Context) error { _, err := f.Stats(ctx, "mail"); return err }},
		{"newest errors", 100, func(ctx context.Context) error { _, err := f.Newest(ctx, 5); return err }},
		{"groups", consoleGroups * parley.FailureStatsCap, func(ctx context.Context) error { _, err := f.FailureGroups(ctx, "", consoleGroups); return err }},
		list("parked", 2*each*consolePage, parley.FailureQuery{States: parked}, consolePage),
		list("of a consumer", 2*each*consolePage, parley.FailureQuery{Consumer: "mail", States: parked}, consolePage),
		list("of a group", 2*each*consolePage, parley.FailureQuery{Consumer: "mail", Fingerprint: ConsoleGroup(7), States: parked}, consolePage),
		list("waiting", 4*each*consolePage, parley.FailureQuery{States: waiting}, consolePage),
		list("by identity", 100, parley.FailureQuery{Identity: "id:m-6"}, 20),
		list("by an absent identity", 100, parley.FailureQuery{Identity: "id:" + strings.Repeat("x", 40)}, 20),
		scheduled("the soonest", each*consoleScheduled, parley.Selection{}, consoleScheduled),
		scheduled("one record", 100, parley.Selection{ID: 1}, consolePage),
		scheduled("with rare tags", 5*consoleScheduled, rare, consolePage),
		scheduled("with common tags", 20*consoleScheduled, common, consolePage),
	}
}
