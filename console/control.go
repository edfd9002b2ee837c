package console

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-go/parley"
)

// pauseView is the preview of a pause, or of its end.
type pauseView struct {
	Action  string // pause or resume
	Pause   parley.Pause
	For     time.Duration
	Why     string
	Exists  bool
	Hash    string
	Command string
}

// readPause reads the fields that preview and confirm have in common.
func (q *request) readPause() (*pauseView, error) {
	if q.src.Control == nil {
		return nil, errNotFound
	}
	v := &pauseView{Action: q.get("action"), Why: q.get("why")}
	v.Pause = parley.Pause{Part: parley.PausePart(q.get("part")), Exchange: q.get("exchange"), Queue: q.get("queue"), RoutingKey: q.get("routing_key")}
	args := []string{q.src.Command, v.Action, string(v.Pause.Part)}
	for _, p := range [...][2]string{{"--exchange", v.Pause.Exchange}, {"--queue", v.Pause.Queue}, {"--routing-key", v.Pause.RoutingKey}} {
		if p[1] != "" {
			args = append(args, p[0], p[1])
		}
	}
	var err error
	switch v.Action {
	case "resume":
		err = v.Pause.Check()
	case "pause":
		if v.For, err = time.ParseDuration(q.get("for")); err != nil {
			return nil, &problem{http.StatusBadRequest, fmt.Sprintf("%q is not a duration such as 30m or 2h.", printable(parley.CleanText(q.get("for"), 80))), ""}
		}
		err = parley.CheckPause(&v.Pause, v.For)
		args = append(args, "--for", v.For.String())
		if v.Why != "" {
			args = append(args, "--reason", v.Why)
		}
	default:
		return nil, &problem{http.StatusBadRequest, "The form names no action.", ""}
	}
	if err != nil {
		return nil, &problem{http.StatusBadRequest, printable(err.Error()), ""}
	}
	v.Command = commandLine(args...)
	return v, q.hashPause(v)
}

// hashPause identifies the change, and the pause that is there now.
func (q *request) hashPause(v *pauseView) error {
	list, err := q.src.Control.Pauses(q.r.Context())
	if err != nil {
		return err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q\n", v.Action, v.Pause.String(), v.For, v.Why)
	for i := range list {
		if list[i].String() == v.Pause.String() {
			v.Exists = true
			fmt.Fprintf(h, "%d %d %q", list[i].ID, list[i].Until.UnixMicro(), list[i].Reason)
		}
	}
	v.Hash = hex.EncodeToString(h.Sum(nil))
	return nil
}

func (c *Console) previewPause(q *request) error {
	v, err := q.readPause()
	if err != nil {
		return err
	}
	return q.show(http.StatusOK, "pause.html", view{Title: "Preview: " + v.Action, Tab: "queues", Data: v})
}

func (c *Console) confirmPause(q *request) error {
	v, err := q.readPause()
	if err != nil {
		return err
	}
	if v.Hash != q.get("hash") {
		return errChanged
	}
	text := ""
	if v.Action == "pause" {
		var set parley.Pause
		v.Pause.Reason = v.Why
		if set, err = q.src.Control.SetPause(q.acting(), v.Pause, v.For); err == nil {
			text = "Paused: " + set.String() + " until " + c.at(set.Until) + "."
		}
	} else {
		var returned int
		_, returned, err = parley.Resume(q.acting(), q.src.Control, q.src.Failures, v.Pause)
		text = "Resumed: " + v.Pause.String() + "."
		if returned > 0 {
			text += " Returned from the table of failed deliveries: " + messages(returned) + "."
		}
	}
	if errors.Is(err, parley.ErrNoPause) {
		return errChanged
	}
	c.log(q, action{What: v.Action, Count: 1, Target: v.Pause.String(), Command: v.Command}, err)
	if err != nil {
		return err
	}
	return q.done(text, v.Command, q.self("queues"))
}
