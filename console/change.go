package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

// previewLimit is the most messages that one confirmation changes.
const previewLimit = 1000

// fillLimit is the most messages whose bodies are part of a preview's hash.
const fillLimit = 50

// A change is a replay or a drop of parked messages, as a preview shows it and as its form sends it.
type change struct {
	Action  string // replay or drop
	Filter  filter
	IDs     []string
	Items   []*item  // the first of them
	Skipped []string // why others of the selection are left out
	More    bool     // the selection has more than previewLimit messages
	Rate    string   // messages per second of a replay; "" means all at once
	Force   bool     // replay expired messages too
	Hash    string
	Command string
}

// Count returns the number of messages.
func (ch *change) Count() int { return len(ch.IDs) }

// Done returns the verb in the past tense.
func (ch *change) Done() string {
	return map[string]string{"replay": "replayed", "drop": "dropped"}[ch.Action]
}

func (ch *change) parley() parley.ParkedAction {
	return map[string]parley.ParkedAction{"replay": parley.ParkedReplay, "drop": parley.ParkedDrop}[ch.Action]
}

// readChange reads the fields that preview and confirm have in common.
func (q *request) readChange() (*change, place, error) {
	ch := &change{Action: q.get("action"), Filter: q.filter(), Rate: q.get("rate"), Force: q.get("force") != ""}
	if ch.Done() == "" {
		return nil, nil, &problem{http.StatusBadRequest, "The form names no action.", ""}
	}
	if _, err := ch.every(); err != nil {
		return nil, nil, err
	}
	if err := ch.Filter.check(); err != nil {
		return nil, nil, err
	}
	p, err := q.src.placeOf(ch.Filter.Place)
	return ch, p, err
}

// every returns the time between two replays.
func (ch *change) every() (time.Duration, error) {
	if ch.Rate == "" || ch.Action != "replay" || ch.Filter.Place != "c" {
		return 0, nil
	}
	perSecond, err := strconv.ParseFloat(ch.Rate, 64)
	if err != nil || !(perSecond > 0) || perSecond > 1e6 {
		return 0, &problem{http.StatusBadRequest, fmt.Sprintf("%q is not a number of messages per second.", printable(ch.Rate)), ""}
	}
	return max(time.Duration(float64(time.Second)/perSecond), time.Microsecond), nil
}

// previewParked shows what a replay or a drop would change.
func (c *Console) previewParked(q *request) error {
	ch, p, err := q.readChange()
	if err != nil {
		return err
	}
	var items []*item
	switch ids := q.r.Form["id"]; {
	case q.get("all") != "":
		var next string
		f := ch.Filter
		f.After = ""
		items, next, err = p.list(q.r.Context(), &f, previewLimit)
		ch.More = next != ""
	case len(ids) == 0 || len(ids) > previewLimit:
		return &problem{http.StatusBadRequest, "No message is selected.", "select messages, or all that the filter finds"}
	default:
		items, err = p.load(q.r.Context(), ids)
	}
	if err != nil {
		return err
	}
	items, err = ch.choose(q, p, items)
	if err != nil {
		return err
	}
	for _, it := range items {
		ch.IDs = append(ch.IDs, it.ID)
	}
	ch.Items = items[:min(len(items), pageSize)]
	ch.Command = ch.command(q.src.Command)
	if ch.Hash, err = ch.hash(q, p, items); err != nil {
		return err
	}
	return q.show(http.StatusOK, "preview.html", view{Title: "Preview: " + ch.Action, Tab: "parked", Data: ch})
}

// choose leaves out what an action would not change, and says why.
func (ch *change) choose(q *request, p place, items []*item) ([]*item, error) {
	var running, unverified, expired int
	var out []*item
	for _, it := range items {
		switch {
		case it.Running():
			running++
		case ch.Action == "replay" && !it.Verified:
			unverified++
		default:
			late, err := ch.expired(q, p, it)
			if err != nil {
				return nil, err
			}
			if late {
				expired++
				continue
			}
			out = append(out, it)
		}
	}
	for n, why := range map[int]string{running: "handled at this moment", unverified: "of unverified history (use the command with --unverified)", expired: "expired: no handler starts them"} {
		if n > 0 {
			ch.Skipped = append(ch.Skipped, fmt.Sprintf("%d %s", n, why))
		}
	}
	slices.Sort(ch.Skipped)
	return out, nil
}

// expired reports whether a replay would be useless because no handler starts the message.
func (ch *change) expired(q *request, p place, it *item) (bool, error) {
	if ch.Action != "replay" || ch.Force || it.Message.Kind == parley.KindEvent || it.Message.Kind == parley.KindReply {
		return false, nil
	}
	m := it.Message // the body is not kept: a thousand bodies may be large
	if err := p.fill(q.r.Context(), it); err != nil {
		return false, err
	}
	at := parley.ExpiryOf(&it.Message)
	if it.Row != nil {
		it.Message = m
	}
	return !at.IsZero() && q.c.now().After(at), nil
}

// hash identifies the messages as the preview showed them, and the action.
func (ch *change) hash(q *request, p place, items []*item) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q\n", ch.Action, ch.Filter.Place, ch.Rate, q.src.Name)
	slices.SortFunc(items, func(a, b *item) int { return strings.Compare(a.ID, b.ID) })
	for _, it := range items {
		if len(items) <= fillLimit {
			if err := p.fill(q.r.Context(), it); err != nil {
				return "", err
			}
		}
		fmt.Fprintln(h, it.stamp())
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// confirmParked does what a preview has shown, unless a message has changed since.
func (c *Console) confirmParked(q *request) error {
	ch, p, err := q.readChange()
	if err != nil {
		return err
	}
	ch.IDs = slices.DeleteFunc(q.r.PostForm["ids"], func(id string) bool { return id == "" })
	if len(ch.IDs) == 0 || len(ch.IDs) > previewLimit {
		return &problem{http.StatusBadRequest, "The form has no messages.", "start with a new preview"}
	}
	items, err := p.load(q.r.Context(), ch.IDs)
	if err != nil {
		return err
	}
	hash, err := ch.hash(q, p, items)
	if err != nil {
		return err
	}
	if hash != q.get("hash") || len(items) != len(ch.IDs) {
		return errChanged
	}
	every, err := ch.every()
	if err != nil {
		return err
	}
	ch.Command = ch.command(q.src.Command)
	n, err := p.change(q.acting(), ch.parley(), ch.IDs, every)
	c.log(q, action{What: ch.Action, Count: int64(n), Command: ch.Command, Target: describeIDs(ch.IDs)}, err)
	if err != nil {
		return err
	}
	return q.done(fmt.Sprintf("%s: %s.", strings.ToUpper(ch.Done()[:1])+ch.Done()[1:], messages(n)), ch.Command, q.self("parked")+"?"+ch.Filter.Query(""))
}

// done shows the result of a change.
func (q *request) done(text, command, back string) error {
	return q.show(http.StatusOK, "done.html", view{Title: "Done", Tab: "parked", Data: map[string]any{"Text": text, "Command": command, "Back": back}})
}

// messages returns "1 message" or "5 messages".
func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func describeIDs(ids []string) string {
	if len(ids) > 10 {
		return strings.Join(ids[:10], " ") + fmt.Sprintf(" and %d more", len(ids)-10)
	}
	return strings.Join(ids, " ")
}

// command returns the command that does the same.
func (ch *change) command(name string) string {
	args := append([]string{name, "parked", ch.Action}, ch.IDs...)
	if len(ch.IDs) > 20 && (ch.Filter.Consumer != "" || ch.Filter.Narrow()) {
		args = args[:3]
		for _, p := range [...][2]string{{"--consumer", ch.Filter.Consumer}, {"--exchange", ch.Filter.Exchange}, {"--routing-key", ch.Filter.RoutingKey}, {"--reason", ch.Filter.Reason}} {
			if p[1] != "" {
				args = append(args, p[0], p[1])
			}
		}
	}
	if ch.Rate != "" && ch.Action == "replay" && ch.Filter.Place == "c" {
		args = append(args, "--rate", ch.Rate+"/s")
	}
	if ch.Force && ch.Action == "replay" {
		args = append(args, "--force")
	}
	return commandLine(args...)
}

// commandLine quotes arguments for a POSIX shell. The first may be several words.
func commandLine(args ...string) string {
	out := []string{args[0]}
	for _, arg := range args[1:] {
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r))
		}) {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		out = append(out, arg)
	}
	return strings.Join(out, " ")
}
