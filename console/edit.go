package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/parley-go/parley"
)

// editLimit is the largest body that a form can change, in bytes.
const editLimit = 128 << 10

// editable reports whether the body of an item can be changed in a form: it is JSON text of moderate size, and nothing handles it.
func editable(it *item) bool {
	return len(it.Message.Body) <= editLimit && utf8.Valid(it.Message.Body) && json.Valid(it.Message.Body) && !it.Running()
}

// editView is the data of the form and of the preview.
type editView struct {
	Item    *item
	Body    string // as in the form
	Diff    []diffLine
	Hash    string
	Mistake string
	Command string
}

// editOf returns the message of the path with its body.
func (q *request) editOf() (place, *item, error) {
	p, it, err := q.one()
	if err == nil {
		err = p.fill(q.r.Context(), it)
	}
	if err == nil && !editable(it) {
		err = &problem{http.StatusConflict, fmt.Sprintf("The body of %s cannot be edited here: it is not JSON, larger than %d KiB, or being handled.", it.ID, editLimit>>10),
			"use the command: parked edit"}
	}
	return p, it, err
}

func indented(body []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") != nil {
		return string(body)
	}
	return out.String()
}

func (c *Console) editForm(q *request) error {
	_, it, err := q.editOf()
	if err != nil {
		return err
	}
	return q.showEdit(&editView{Item: it, Body: indented(it.Message.Body)})
}

func (q *request) showEdit(v *editView) error {
	v.Command = fmt.Sprintf("%s parked edit %s --raw --file body.json", q.src.Command, v.Item.ID)
	return q.show(http.StatusOK, "edit.html", view{Title: "Edit " + v.Item.ID, Tab: "parked", Data: v})
}

// newBody returns the body of the form in compact form. JSON keeps its numbers and its order of keys.
func newBody(it *item, text string) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if out.Len() > editLimit {
		return nil, fmt.Errorf("larger than %d KiB", editLimit>>10)
	}
	if err := parley.CheckBody(it.Message.Kind, out.Bytes()); err != nil {
		return nil, err
	}
	return out.Bytes(), lostMember(it.Message.Kind, it.Message.Body, out.Bytes())
}

// lostMember returns an error if a member of the envelope is missing in a new body, such as eventType, payload or meta: an edit of the
// payload alone would otherwise look right, and no handler would find it.
func lostMember(kind parley.Kind, before, after []byte) error {
	var old, now map[string]json.RawMessage
	if json.Unmarshal(before, &old) != nil {
		return nil // it was no object
	}
	if err := json.Unmarshal(after, &now); err != nil {
		return errors.New("the body must stay a JSON object")
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if kind == parley.KindCommand && name != "meta" {
			continue // the arguments of a command are members of its body
		}
		if _, ok := now[name]; !ok {
			return fmt.Errorf("the member %q is missing", printable(name))
		}
	}
	return nil
}

// editHash identifies the old and the new body.
func editHash(it *item, body []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "edit %s\n%q", it.stamp(), body)
	return hex.EncodeToString(h.Sum(nil))
}

func (c *Console) previewEdit(q *request) error {
	_, it, err := q.editOf()
	if err != nil {
		return err
	}
	v := &editView{Item: it, Body: q.r.PostForm.Get("body")}
	body, err := newBody(it, v.Body)
	if err != nil {
		v.Mistake = err.Error()
		return q.showEdit(v)
	}
	v.Diff, v.Hash = diff(indented(it.Message.Body), indented(body)), editHash(it, body)
	return q.showEdit(v)
}

func (c *Console) confirmEdit(q *request) error {
	p, it, err := q.editOf()
	if err != nil {
		return err
	}
	body, err := newBody(it, q.r.PostForm.Get("body"))
	if err != nil {
		return &problem{http.StatusBadRequest, "The new body is wrong: " + printable(err.Error()), "go back and correct it"}
	}
	if editHash(it, body) != q.get("hash") {
		return errChanged
	}
	command := fmt.Sprintf("%s parked edit %s --raw --file body.json", q.src.Command, it.ID)
	err = p.edit(q.acting(), it.ID, body)
	c.log(q, action{What: "edit", Count: 1, Target: it.ID, Command: command}, err)
	if err != nil {
		return err
	}
	return q.done("The body of "+it.ID+" was replaced. Replay the message to have it handled.", command, q.self("parked", it.ID))
}
