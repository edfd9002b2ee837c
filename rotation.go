package parley

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A rotation is one visit of a parked queue: each message is taken from its head, and a copy is published to its end.
//
// Every copy of one parked message has the same id, and a higher turn than the copy it was made from. So a visit
// recognises copies left by a crash between the confirm and the ack. A copy is removed only if a copy with a higher turn is known
// to be safe. With several visits at once, the copy with the highest turn therefore survives.
type rotation struct {
	b     Broker
	p     Puller
	queue string // name of the parked queue
	visit func(d *Delivery) (ParkedAction, Message, error)
	stamp string // of this visit: part of the turns of its copies
	batch int    // how many messages are unacked at a time

	left     int               // messages counted at the start and not taken yet; -1 before the count
	turns    map[string]string // by content: the turn of the copy that this visit knows to be safe
	kept     []string          // ids of the messages that were kept, in their order
	priority bool              // some message has a priority: the queue may not be in order
	seen     []*Delivery       // copies of this visit that returned before its end
	hand     []parkedStep      // the batch
	size     int               // of the bodies in the batch
	err      error             // of visit, which is not called again
}

// A parkedStep is the next step for one message in hand.
type parkedStep struct {
	d      *Delivery
	copied *Message // published and confirmed before the ack, if not nil
	left   bool     // left by a crash: acked only if all copies of the batch are safe
	replay bool     // the copy is for the consumer's queue
}

const (
	// rotationBatch is how many messages are unacked at a time. RabbitMQ takes this number of acks for a quorum queue before the
	// channel closes. After more, the puller has to wait for the queue, and may get a message that it returns.
	rotationBatch = 16
	rotationBytes = 16 << 20
	// rotationGrace is how long a visit continues after its context has ended, so that the messages stay in order.
	rotationGrace = 5 * time.Second
)

func newRotation(b Broker, p Puller, queue string, visit func(d *Delivery) (ParkedAction, Message, error)) *rotation {
	return &rotation{b: b, p: p, queue: queue, visit: visit, stamp: parkedStamp(), batch: rotationBatch, left: -1, turns: map[string]string{}}
}

// run visits every message once. After an error visit is not called again, but the round is finished.
func (r *rotation) run(ctx context.Context) error {
	round, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(rotationGrace, cancel) })
	defer stop()
	for r.left != 0 {
		if r.err == nil {
			r.err = ctx.Err()
		}
		more, err := r.take(round)
		if err == nil && (!more || len(r.hand) >= r.batch || r.size >= rotationBytes) {
			err = r.flush(round)
		}
		if err != nil {
			return errors.Join(r.err, err)
		}
		if !more {
			break
		}
	}
	err := r.flush(round)
	if err == nil {
		err = r.again(round)
	}
	if err == nil {
		err = r.straighten(round)
	}
	return errors.Join(r.err, err)
}

// take pulls the next message and decides on it. It returns false at the end of the round.
func (r *rotation) take(ctx context.Context) (more bool, err error) {
	d, behind, err := r.p.Next(ctx)
	if err != nil || d == nil {
		return false, err
	}
	if r.left < 0 {
		r.left = behind + 1
	}
	r.left--
	r.priority = r.priority || d.Priority > 0
	content, turn := parkedContent(d), parkedTurn(&d.Message)
	known, ok := r.turns[content]
	switch {
	case ok && turn == known && r.batch == 1:
		return false, nil // a copy of this visit: the round is over, and a subscription has the next message in hand anyway
	case ok && turn == known && !r.priority: // the round is over: other visits have removed messages that were counted
		r.add(parkedStep{d: d, copied: r.next(d, content, turn)})
		return false, nil
	case ok && turn == known:
		r.left++ // messages of higher priority return first each time: others may follow
		r.seen = append(r.seen, d)
	case ok && turn < known:
		r.add(parkedStep{d: d, left: true})
	case ok: // another visit has taken this visit's copy, and shows it
		r.add(parkedStep{d: d, copied: r.next(d, content, turn)})
	default:
		r.show(d, content, turn)
	}
	return true, nil
}

// show calls visit with a message and carries out the action.
func (r *rotation) show(d *Delivery, content, turn string) {
	action, replay := ParkedKeep, Message{}
	if r.err == nil {
		if action, replay, r.err = r.visit(d); r.err != nil {
			action = ParkedKeep
		}
	}
	switch action {
	case ParkedDrop:
		r.know(content, lastTurn)
		r.add(parkedStep{d: d})
	case ParkedReplay:
		r.know(content, lastTurn)
		r.add(parkedStep{d: d, copied: &replay, replay: true})
	default:
		r.kept = append(r.kept, d.Header(headerParkedID))
		r.add(parkedStep{d: d, copied: r.next(d, content, turn)})
	}
}

func (r *rotation) add(s parkedStep) {
	r.hand = append(r.hand, s)
	r.size += len(s.d.Body)
}

func (r *rotation) know(content, turn string) {
	if content != "" {
		r.turns[content] = turn
	}
}

// next returns the copy that replaces a message, and remembers the copy's turn.
func (r *rotation) next(d *Delivery, content, turn string) *Message {
	m := asItCame(d.Message)
	m.RoutingKey = ParkedQueue(r.queue)
	markParked(m.Headers)
	next := r.turnAfter(turn)
	m.Headers[headerParkedTurn] = next
	if content == "" {
		named := Delivery{Message: m}
		content = parkedContent(&named)
	}
	r.know(content, next)
	return &m
}

// flush publishes the copies of the batch and acks the messages whose copies are safe.
func (r *rotation) flush(ctx context.Context) error {
	steps := r.hand
	r.hand, r.size = nil, 0
	var copies []Message
	for _, s := range steps {
		if s.copied != nil {
			copies = append(copies, *s.copied)
		}
	}
	var outcomes []error
	if len(copies) > 0 {
		outcomes = r.b.Publish(ctx, copies)
	}
	var errs []error
	safe := true
	for _, s := range steps {
		var err error
		if s.copied != nil && outcomes != nil {
			err, outcomes = outcomes[0], outcomes[1:]
		}
		switch {
		case err == nil && (safe || !s.left):
			err = s.d.Settle(SettleAck)
		case err != nil && s.replay:
			// visit is not called again, but the round continues: this message stays parked.
			r.err = errors.Join(r.err, fmt.Errorf("replay message %q: %w", shorten(s.d.ID, 80), err))
			r.add(parkedStep{d: s.d, copied: r.next(s.d, parkedContent(s.d), parkedTurn(&s.d.Message))})
			err = nil
		case errors.Is(err, ErrRefused):
			err, safe = nil, false // its copy is too large for the broker now: it stays unacked, and in its place
		default:
			safe = false
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil || len(r.hand) == 0 {
		return err
	}
	return r.flush(ctx)
}

// again moves copies that returned too early behind the other messages.
func (r *rotation) again(ctx context.Context) error {
	for _, d := range r.seen {
		r.add(parkedStep{d: d, copied: r.next(d, parkedContent(d), parkedTurn(&d.Message))})
		if len(r.hand) >= r.batch || r.size >= rotationBytes {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	return r.flush(ctx)
}

// straighten ends the round of a former visit that crashed in the middle. The messages that it had not reached are younger than
// the others, and stand before them.
func (r *rotation) straighten(ctx context.Context) error {
	for i := range r.outOfPlace() {
		d, _, err := r.p.Next(ctx)
		if err != nil || d == nil {
			return err
		}
		r.add(parkedStep{d: d, copied: r.next(d, parkedContent(d), parkedTurn(&d.Message))})
		expected := d.Header(headerParkedID) == r.kept[i]
		if !expected || len(r.hand) >= r.batch || r.size >= rotationBytes {
			err = r.flush(ctx)
		}
		if err != nil || !expected {
			return err // another visit is running
		}
	}
	return r.flush(ctx)
}

// outOfPlace returns how many messages stand before older ones, if moving them to the end restores the order. The ids
// of parked messages sort by time.
func (r *rotation) outOfPlace() int {
	cut := 0
	for i, id := range r.kept {
		if id == "" || r.priority {
			return 0
		}
		if i == 0 || id >= r.kept[i-1] {
			continue
		}
		if cut > 0 {
			return 0
		}
		cut = i
	}
	if cut == 0 || r.kept[len(r.kept)-1] >= r.kept[0] {
		return 0
	}
	return cut
}

// markParked gives a copy for the parked queue its id and its first turn, unless it has them. Both have their full length at once: a
// copy must not outgrow the limits of the broker later.
func markParked(headers map[string]any) {
	if id, ok := headers[headerParkedID].(string); !ok || id == "" {
		headers[headerParkedID] = parkedStamp()
	}
	if _, ok := headers[headerParkedTurn]; !ok {
		headers[headerParkedTurn] = firstTurn
	}
}

// parkedContent returns a key that is equal for copies of one parked message only: its id and everything that a copy keeps. It is empty for a
// message without an id.
func parkedContent(d *Delivery) string {
	id := d.Header(headerParkedID)
	if id == "" {
		return ""
	}
	sum := sha256.New()
	sum.Write(appendText(appendText(nil, id), d.ID))
	sum.Write(d.Body)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

var lastStamp atomic.Int64

// parkedStamp returns 32 unique digits; the stamps of one process sort by time.
func parkedStamp() string {
	var b [16]byte
	now := time.Now().UnixNano()
	for last := lastStamp.Load(); ; last = lastStamp.Load() {
		now = max(now, last+1)
		if lastStamp.CompareAndSwap(last, now) {
			break
		}
	}
	binary.BigEndian.PutUint64(b[:8], uint64(now))
	rand.Read(b[8:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// A turn is a counter of 16 digits and the stamp of the visit that wrote it: 49 bytes, compared as text.
const (
	turnDigits = 16
	firstTurn  = "0000000000000000-00000000000000000000000000000000"
	lastTurn   = "~" // above all others: the message was removed
)

// parkedTurn returns the turn of a message, or "", which is lower than all others.
func parkedTurn(m *Message) string {
	turn := m.Header(headerParkedTurn)
	if len(turn) != len(firstTurn) || strings.Trim(turn, "0123456789abcdef-") != "" {
		return ""
	}
	return turn
}

func (r *rotation) turnAfter(turn string) string {
	n := uint64(0)
	if turn != "" {
		n, _ = strconv.ParseUint(turn[:turnDigits], 16, 63)
	}
	return fmt.Sprintf("%0*x-%s", turnDigits, n+1, r.stamp)
}
