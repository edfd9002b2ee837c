package command

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/sleep"
)

// The first letter of an id is the place of the message.
const (
	outboxLetter   = 'o' // a parked record in the outbox's database
	consumerLetter = 'c' // a failed delivery in the consumer's database
	queueLetter    = 'q' // a delivery in the parked queue of a consumer without a database
)

// A parkedItem is a parked message: a record that the broker can never accept, or a delivery whose handler kept failing. With
// --waiting it is a delivery that waits for its next attempt.
type parkedItem struct {
	id       string
	at       time.Time // when it was parked or becomes due
	state    string
	consumer string // of deliveries
	reason   string
	record   int64              // of records: the id in the outbox; else 0
	row      *parley.FailureRow // of failed deliveries in a database; else nil
	history  *parley.History    // of deliveries; else nil
	verified bool               // whether the history is signed with one of the secrets, or is in the database
	size     int
	*parley.Message
	load func(ctx context.Context) ([]byte, error) // reads the body; nil if Message has it
}

// full reads the body unless the item has it.
func (p *parkedItem) full(ctx context.Context) error {
	if p.load == nil {
		return nil
	}
	body, err := p.load(ctx)
	p.Body, p.load = body, nil
	return err
}

// running reports whether a process is handling the delivery.
func (p *parkedItem) running() bool { return p.row != nil && p.row.State == parley.FailureRunning }

// A parkedPlace is a place of parked messages: outbox, table of failed deliveries or parked queue.
type parkedPlace interface {
	letter() byte
	// visit calls do with each item that f selects, in their order, and applies the returned action. If do returns errEnough, visit
	// stops and returns nil.
	visit(ctx context.Context, f *parkedFilter, do func(p *parkedItem) (parley.ParkedAction, error)) (parkedCount, error)
	// edit replaces the body of one item.
	edit(ctx context.Context, f *parkedFilter, id string, body []byte) error
}

// errEnough ends a visit.
var errEnough = errors.New("enough")

// A parkedCount holds the number of items that a visit changed, and of those that it skipped because they are being handled.
type parkedCount struct{ done, running int }

// A parkedFilter holds the arguments and flags that select parked messages.
type parkedFilter struct {
	ids                          []string
	exchange, routingKey, reason string
	all                          bool
	waiting                      bool          // pending retries instead of parked messages
	consumer                     string        // only failed deliveries of this consumer; "" means all
	own                          []string      // only failed deliveries of these consumers; none means all
	after                        string        // only items after this id
	every                        time.Duration // time between two replayed messages
	unverified                   bool          // also messages whose history is not verified
}

// takes reports whether the filter selects p.
func (f *parkedFilter) takes(p *parkedItem) bool {
	if len(f.ids) > 0 && !slices.Contains(f.ids, p.id) {
		return false
	}
	if len(f.ids) == 0 && len(f.own) > 0 && p.consumer != "" && !slices.Contains(f.own, p.consumer) {
		return false
	}
	return matches(f.exchange, p.Exchange) && matches(f.routingKey, p.RoutingKey) && strings.Contains(p.reason, f.reason)
}

// matches reports whether a name matches a pattern. It replaces slashes, because in path.Match a wildcard does not match them.
func matches(pattern, name string) bool {
	ok, _ := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
	return pattern == "" || ok
}

// exact returns a pattern that matches only itself, and "" for one with wildcards.
func exact(pattern string) string {
	if strings.ContainsAny(pattern, `*?[\`) {
		return ""
	}
	return pattern
}

// reaches reports whether a place can contain the ids and items after --after.
func (f *parkedFilter) reaches(letter byte) bool {
	if f.after != "" && placeOrder(letter) < placeOrder(f.after[0]) {
		return false
	}
	if len(f.ids) == 0 {
		return true
	}
	return slices.ContainsFunc(f.ids, func(id string) bool { return id[0] == letter })
}

func placeOrder(letter byte) int { return strings.IndexByte("ocq", letter) }

// afterIn returns the id after which a listing continues in a place, without its letter, or "" to start at the beginning.
func (f *parkedFilter) afterIn(letter byte) string {
	if f.after == "" || f.after[0] != letter {
		return ""
	}
	return f.after[1:]
}

// numbers returns the numbers of the ids that start with letter.
func (f *parkedFilter) numbers(letter byte) []int64 {
	var out []int64
	for _, id := range f.ids {
		if n, err := strconv.ParseInt(id[1:], 10, 64); id[0] == letter && err == nil {
			out = append(out, n)
		}
	}
	return out
}

// checkID returns an error if the form of an id is wrong.
func checkID(id string) error {
	hint := "parked ls lists ids: o12 is a record of the outbox, c34 a failed delivery, q… a message of a parked queue"
	if len(id) < 2 || placeOrder(id[0]) < 0 {
		return fmt.Errorf("id %q does not start with o, c or q (%s)", id, hint)
	}
	if n, err := strconv.ParseInt(id[1:], 10, 64); id[0] != queueLetter && (err != nil || n < 1) {
		return fmt.Errorf("id %q has no number after its letter (%s)", id, hint)
	}
	return nil
}

// parkedPage is how many items are read at once.
const parkedPage = 500

// pace waits before each replayed message except the first.
func pace(ctx context.Context, f *parkedFilter, done int) error {
	if f.every > 0 && done > 0 && !sleep.For(ctx, f.every) {
		return ctx.Err()
	}
	return nil
}
