package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/output"
)

// A parkedEditing is an edit of one message.
type parkedEditing struct {
	parkedFlags
	file string
	raw  bool
	yes  bool
}

func (a *app) parkedEdit() *cobra.Command {
	var e parkedEditing
	c := &cobra.Command{
		Use: "edit id", Short: "edit the payload of one parked or waiting message, before a replay", Args: oneID, ValidArgsFunction: a.completeParked(1),
		Long: `Opens the payload of one message in $VISUAL or $EDITOR, checks the result, shows the difference and asks before it stores it.
Everything else, including the message's identity, stays unchanged. With --file the new payload comes from a file instead.
Without a terminal --yes is required.

--raw edits the whole body: the envelope with eventId, eventType and meta. No member of the envelope may get lost.

A message of a parked queue (q…) is replayed immediately with its new body, because a message in a queue cannot be changed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := e.parse(cmd, args); err != nil {
				return err
			}
			return a.parked(cmd, &e.parkedFlags, func(ctx context.Context, set parkedSet) error { return e.run(ctx, cmd, set, args[0]) })
		},
	}
	c.Flags().StringVar(&e.file, "file", "", "file with the new payload, as JSON (-: standard input)")
	c.Flags().BoolVar(&e.raw, "raw", false, "edit the whole body instead of the payload")
	c.Flags().BoolVar(&e.yes, "yes", false, "store the change without asking")
	c.Flags().BoolVar(&e.unverified, "unverified", false, "also if the message's retry history is not verified")
	return c
}

func (e *parkedEditing) run(ctx context.Context, cmd *cobra.Command, set parkedSet, id string) error {
	place, err := set.placeOf(id)
	if err != nil {
		return err
	}
	p, err := e.load(ctx, set, id)
	if err != nil {
		return err
	}
	if p.running() {
		return fmt.Errorf("edit %s: %w (repeat the command later)", id, parley.ErrRunning)
	}
	if !p.verified && !e.unverified {
		return errNotVerified(id)
	}
	body := bytes.Clone(p.Body)
	part, err := editablePart(p.Kind, body, e.raw)
	if err != nil {
		return fmt.Errorf("edit %s: %w", id, err)
	}
	text, keep, err := e.newText(ctx, cmd, part.text)
	if err != nil {
		return err
	}
	changed, err := part.with(text)
	if err != nil {
		return keep(fmt.Errorf("edit %s: %w", id, err))
	}
	if bytes.Equal(changed, body) || bytes.Equal(indented(part.text), indented(text)) {
		report(cmd.OutOrStdout(), "unchanged")
		return keep(nil)
	}
	out := cmd.OutOrStdout()
	writeDiff(out, output.StyleOf(out), string(indented(part.text)), string(indented(text)))
	if !e.yes {
		if err := confirm(cmd, "store this change of "+id, "the change is shown above"); err != nil {
			if errors.Is(err, errDeclined) {
				err = errors.New("nothing changed")
			}
			return keep(err)
		}
	}
	if now, err := e.load(ctx, set, id); err != nil || !bytes.Equal(now.Body, body) {
		return keep(errors.Join(err, fmt.Errorf("edit %s: the message was changed meanwhile (repeat the command)", id)))
	}
	if err := place.edit(asOperator(ctx, "", 0), &e.parkedFilter, id, changed); err != nil {
		return keep(err)
	}
	report(out, "replaced the body: %d bytes", len(changed))
	return keep(nil)
}

// load reads the message with its body.
func (e *parkedEditing) load(ctx context.Context, set parkedSet, id string) (found *parkedItem, err error) {
	_, err = set.visit(ctx, &parkedFilter{ids: []string{id}}, func(p *parkedItem) (parley.ParkedAction, error) {
		found = p
		return parley.ParkedKeep, p.full(ctx)
	})
	if err == nil && found == nil {
		err = fmt.Errorf("no parked message has the id %s", id)
	}
	return found, err
}

// newText returns the new text from the file or the editor. keep returns its error, after it has removed the edited text, or with
// the name of the file that keeps it.
func (e *parkedEditing) newText(ctx context.Context, cmd *cobra.Command, text []byte) (changed []byte, keep func(error) error, err error) {
	if e.file == "" {
		return editText(ctx, cmd, indented(text))
	}
	changed, err = readInput(cmd, e.file)
	return changed, func(err error) error { return err }, err
}

// indented returns JSON with one member per line, and any other text unchanged.
func indented(text []byte) []byte {
	var out bytes.Buffer
	if json.Indent(&out, bytes.TrimSpace(text), "", "  ") != nil {
		return text
	}
	return out.Bytes()
}
