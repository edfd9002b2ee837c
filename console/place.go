package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// An item is a parked message, or a failed delivery that waits.
type item struct {
	ID       string // o12 is a parked record, c34 a failed delivery, as in the commands; of a parked queue q and the message id
	At       time.Time
	State    string
	Consumer string
	Reason   string
	Holds    bool // later messages of its ordering key wait behind it
	Verified bool
	Size     int
	Record   int64 // of records: the id in the outbox
	Row      *parley.FailureRow
	History  *parley.History
	Message  parley.Message
}

// Running reports whether a process is handling the delivery.
func (it *item) Running() bool { return it.Row != nil && it.Row.State == parley.FailureRunning }

// stamp returns everything that a change between preview and confirm could alter.
func (it *item) stamp() string {
	s := fmt.Sprintf("%q %q %d %q %t %q", it.ID, it.State, it.Size, it.Reason, it.Holds, it.Message.Body)
	if it.Row != nil {
		s += fmt.Sprint(" ", it.Row.Begun, it.Row.Repeats, it.Row.ParkedAt.UnixNano())
	}
	if h := it.History; h != nil {
		s += fmt.Sprint(" ", h.Attempts, h.Replays, h.LastFailure.UnixNano())
	}
	return s
}

// A place holds parked messages.
type place interface {
	// list returns the items after f.after that f selects: at most limit. next is where the list goes on, or "".
	list(ctx context.Context, f *filter, limit int) (items []*item, next string, err error)
	// load returns the items with these ids. Those that are gone are left out.
	load(ctx context.Context, ids []string) ([]*item, error)
	// fill reads the body of an item, unless it has it.
	fill(ctx context.Context, it *item) error
	// change replays or drops the items. It returns how many, without those that are being handled. every is the time between two
	// replays.
	change(ctx context.Context, action parley.ParkedAction, ids []string, every time.Duration) (int, error)
	// edit replaces the body of an item.
	edit(ctx context.Context, id string, body []byte) error
}

const (
	pageSize = 50
	// scanLimit is the fewest rows that are compared with a filter before a list ends without having found enough; larger lists
	// compare scanFactor times their size.
	scanLimit  = 1000
	scanFactor = 5
	scanPage   = 500
)

// scan returns the items that a filter selects, in the order of their numbers: at most limit. read returns items behind a number. The
// list ends early after many rows that the filter does not select: next is then where it goes on.
func scan(letter byte, f *filter, limit int, read func(after int64, n int) ([]*item, error)) (items []*item, next string, err error) {
	after := numberOf(letter, f.After)
	most := max(scanLimit, scanFactor*limit)
	size := min(scanPage, limit+1)
	for seen := 0; seen < most; {
		page, err := read(after, size)
		if err != nil || len(page) == 0 {
			return items, "", err
		}
		seen += len(page)
		for _, it := range page {
			if f.takes(it) {
				if len(items) == limit {
					return items, fmt.Sprintf("%c%d", letter, after), nil
				}
				items = append(items, it)
			}
			after = numberOf(letter, it.ID)
		}
		size = scanPage
	}
	return items, fmt.Sprintf("%c%d", letter, after), nil
}

// numberOf returns the number of an id such as c34, or 0.
func numberOf(letter byte, id string) int64 {
	if len(id) < 2 || id[0] != letter {
		return 0
	}
	n, err := strconv.ParseInt(id[1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func numbersOf(letter byte, ids []string) (out []int64) {
	for _, id := range ids {
		if n := numberOf(letter, id); n > 0 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// records are the parked records of an outbox.
type records struct{ store parley.ParkedStore }

func (p records) item(row *parley.ParkedRecord) *item {
	return &item{ID: fmt.Sprintf("o%d", row.ID), At: row.ParkedAt, State: "parked", Reason: row.Reason, Record: row.RecordID, Verified: true, Size: len(row.Body), Message: row.Message}
}

func (p records) list(ctx context.Context, f *filter, limit int) (items []*item, next string, err error) {
	return scan('o', f, limit, func(after int64, n int) (page []*item, err error) {
		rows, err := p.store.ListParked(ctx, after, n)
		for i := range rows {
			page = append(page, p.item(&rows[i]))
		}
		return page, err
	})
}

func (p records) load(ctx context.Context, ids []string) (items []*item, err error) {
	for wanted := numbersOf('o', ids); len(wanted) > 0; {
		page, err := p.store.ListParked(ctx, wanted[0]-1, min(2*len(wanted), 100))
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return items, nil
		}
		for i := range page {
			if slices.Contains(wanted, page[i].ID) {
				items = append(items, p.item(&page[i]))
			}
		}
		last := page[len(page)-1].ID
		wanted = slices.DeleteFunc(wanted, func(id int64) bool { return id <= last })
	}
	return items, nil
}

func (p records) fill(context.Context, *item) error { return nil }

func (p records) change(ctx context.Context, action parley.ParkedAction, ids []string, _ time.Duration) (int, error) {
	if action == parley.ParkedDrop {
		return p.store.DropParked(ctx, numbersOf('o', ids))
	}
	return p.store.ReplayParked(ctx, numbersOf('o', ids))
}

func (p records) edit(ctx context.Context, id string, body []byte) error {
	return p.store.EditParked(ctx, numberOf('o', id), body)
}

// failures are the rows of failed deliveries.
type failures struct{ store parley.FailureOperator }

func (p failures) item(row *parley.FailureRow) *item {
	it := &item{
		ID: fmt.Sprintf("c%d", row.ID), At: row.DueAt, State: string(row.State), Consumer: row.Consumer, Reason: row.History.LastError,
		Holds: row.Holds, Verified: true, Size: row.Size, Row: row, History: &row.History, Message: row.Message,
	}
	if row.State == parley.FailureParked {
		it.At, it.Reason = row.ParkedAt, row.History.Reason
	}
	return it
}

// list reads by consumer, group and state, for which the table has indexes. Other conditions are compared with one row after another.
func (p failures) list(ctx context.Context, f *filter, limit int) (items []*item, next string, err error) {
	query := parley.FailureQuery{Consumer: f.Consumer, Fingerprint: f.Group, States: []parley.FailureState{parley.FailureParked}}
	if f.State == "waiting" {
		query.States = []parley.FailureState{parley.FailureWaiting, parley.FailureBehind, parley.FailureRunning}
	}
	return scan('c', f, limit, func(after int64, n int) (page []*item, err error) {
		rows, err := p.store.List(ctx, query, after, n)
		for i := range rows {
			page = append(page, p.item(&rows[i]))
		}
		return page, err
	})
}

func (p failures) load(ctx context.Context, ids []string) (items []*item, err error) {
	numbers := numbersOf('c', ids)
	if len(numbers) == 0 {
		return nil, nil
	}
	page, err := p.store.List(ctx, parley.FailureQuery{IDs: numbers}, 0, len(numbers))
	for i := range page {
		items = append(items, p.item(&page[i]))
	}
	return items, err
}

func (p failures) fill(ctx context.Context, it *item) error {
	if it.Message.Body != nil {
		return nil
	}
	full, err := p.store.Get(ctx, it.Row.ID)
	if errors.Is(err, parley.ErrNoFailure) {
		return errChanged
	}
	it.Message.Body = full.Message.Body
	return err
}

func (p failures) change(ctx context.Context, action parley.ParkedAction, ids []string, every time.Duration) (int, error) {
	// A row that runs meanwhile is left out: neither method changes it.
	query := parley.FailureQuery{IDs: numbersOf('c', ids)}
	if action == parley.ParkedDrop {
		n, _, err := p.store.Drop(ctx, query)
		return n, err
	}
	return p.store.Replay(ctx, query, every)
}

func (p failures) edit(ctx context.Context, id string, body []byte) error {
	return p.store.Edit(ctx, numberOf('c', id), body)
}

// placeOf returns the place of a source by its name in URLs: c, o, or q: and the name of a queue.
func (s *source) placeOf(name string) (place, error) {
	missing := &problem{404, "This service has no such place of parked messages.", ""}
	queue, isQueue := strings.CutPrefix(name, "q:")
	switch {
	case name == "o" && s.ParkedRecords != nil:
		return records{s.ParkedRecords}, nil
	case name == "c" && s.Failures != nil:
		return failures{s.Failures}, nil
	case isQueue && s.Broker != nil:
		for _, q := range s.ParkedQueues {
			if q.Queue == queue {
				return parkedQueue{s.Broker, q}, nil
			}
		}
	}
	return nil, missing
}

// placeNames returns the places that a source has.
func (s *source) placeNames() (out []string) {
	if s.Failures != nil {
		out = append(out, "c")
	}
	if s.ParkedRecords != nil {
		out = append(out, "o")
	}
	for _, q := range s.ParkedQueues {
		out = append(out, "q:"+q.Queue)
	}
	return out
}
