package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// A parkedItem is a message that was set aside: a record by the relay, because the broker
// could not accept it, or a delivery by the consumer, because its handler kept failing.
type parkedItem struct {
	id      string
	at      time.Time
	reason  string
	record  int64           // of the relay's; else 0
	history *parley.History // of the consumer's; else nil
	signed  bool            // the history can be trusted
	*parley.Message
}

// A parkedPlace is where parked messages are.
type parkedPlace interface {
	// visit calls do with the items that f takes, and does what it says. It returns how many
	// were replayed or dropped.
	visit(ctx context.Context, f *parkedFilter, do func(p *parkedItem) (parley.ParkedAction, error)) (int, error)
	// edit replaces the body of one item.
	edit(ctx context.Context, id string, body []byte) error
}

// A parkedFilter holds the arguments and flags that pick parked messages.
type parkedFilter struct {
	ids                          []string
	exchange, routingKey, reason string
	all                          bool
}

func (f *parkedFilter) takes(p *parkedItem) bool {
	if len(f.ids) > 0 && !slices.Contains(f.ids, p.id) {
		return false
	}
	// / has no meaning in names, but path.Match stops at it.
	match := func(pattern, name string) bool {
		ok, _ := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
		return pattern == "" || ok
	}
	return match(f.exchange, p.Exchange) && match(f.routingKey, p.RoutingKey) && strings.Contains(p.reason, f.reason)
}

// parkedRows are the records that the relay has parked.
type parkedRows struct{ store parley.ParkedStore }

const parkedPage = 500

func (r parkedRows) visit(ctx context.Context, f *parkedFilter, do func(p *parkedItem) (parley.ParkedAction, error)) (int, error) {
	done := 0
	for after := int64(0); ; { // a page at a time: there may be many
		page, err := r.store.ListParked(ctx, after, parkedPage)
		if err != nil || len(page) == 0 {
			return done, err
		}
		after = page[len(page)-1].ID
		var replay, drop []int64
		for i := range page {
			row := &page[i]
			p := &parkedItem{id: strconv.FormatInt(row.ID, 10), at: row.ParkedAt, reason: row.Reason, record: row.RecordID, signed: true, Message: &row.Message}
			if !f.takes(p) {
				continue
			}
			action, err := do(p)
			if err != nil {
				return done, err
			}
			switch action {
			case parley.ParkedReplay:
				replay = append(replay, row.ID)
			case parley.ParkedDrop:
				drop = append(drop, row.ID)
			}
		}
		n, err := r.change(ctx, replay, drop)
		done += n
		if err != nil {
			return done, err
		}
	}
}

func (r parkedRows) change(ctx context.Context, replay, drop []int64) (n int, err error) {
	if len(replay) > 0 {
		n, err = r.store.ReplayParked(ctx, replay)
	}
	if len(drop) > 0 && err == nil {
		n, err = r.store.DropParked(ctx, drop)
	}
	return n, err
}

func (r parkedRows) edit(ctx context.Context, id string, body []byte) error {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not the id of a parked record", id)
	}
	return r.store.EditParked(ctx, n, body)
}

// parkedQueue are the deliveries that the consumer of a queue has parked.
type parkedQueue struct {
	broker  parley.Broker
	queue   string
	secrets [][]byte // nil: that of the broker's login
}

func (q parkedQueue) visit(ctx context.Context, f *parkedFilter, do func(p *parkedItem) (parley.ParkedAction, error)) (int, error) {
	done := 0
	err := parley.VisitParked(ctx, q.broker, q.queue, q.secrets, func(m *parley.ParkedMessage) (parley.ParkedAction, error) {
		p := &parkedItem{id: parkedID(m), at: m.History.LastFailure, reason: m.History.Reason, history: &m.History, signed: m.Signed, Message: &m.Message}
		if !f.takes(p) {
			return parley.ParkedKeep, nil
		}
		action, err := do(p)
		if action != parley.ParkedKeep && err == nil {
			done++
		}
		return action, err
	})
	return done, err
}

// edit replaces the body and replays the message: a queue cannot hold it still.
func (q parkedQueue) edit(ctx context.Context, id string, body []byte) error {
	n, err := q.visit(ctx, &parkedFilter{ids: []string{id}}, func(p *parkedItem) (parley.ParkedAction, error) {
		if !p.signed {
			return parley.ParkedKeep, fmt.Errorf("message %s is not signed by a consumer: it was put there by somebody else", id)
		}
		p.Body = body
		return parley.ParkedReplay, nil
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("there is no parked message with the id %s", id)
	}
	return err
}

// parkedID is the message's id, or, as the Python library sends none, one made of its content.
func parkedID(m *parley.ParkedMessage) string {
	if m.ID != "" {
		return m.ID
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %s", m.Exchange, m.RoutingKey, m.Body))
	return "body-" + hex.EncodeToString(sum[:6])
}
