package console

import (
	"context"
	"net/http"
	"time"

	"github.com/parley-go/parley"
)

// doctorTimeout is the longest time of an examination.
const doctorTimeout = 30 * time.Second

func (c *Console) settings(q *request) error {
	data := map[string]any{"Missing": q.src.Source.Settings == nil}
	if q.src.Source.Settings != nil {
		data["List"] = q.src.Source.Settings()
	}
	return q.show(http.StatusOK, "settings.html", view{Title: "Settings", Tab: "settings", Data: data})
}

// doctor shows the last examination.
func (c *Console) doctor(q *request) error {
	q.src.mu.Lock()
	data := map[string]any{"Missing": q.src.Source.Doctor == nil, "At": q.src.examined, "Running": q.src.running, "List": q.src.findings, "Command": q.src.Command + " doctor"}
	q.src.mu.Unlock()
	return q.show(http.StatusOK, "doctor.html", view{Title: "Doctor", Tab: "doctor", Data: data})
}

// runDoctor examines the servers of one source. A second request meanwhile does not start a second examination.
func (c *Console) runDoctor(q *request) error {
	s := q.src
	if s.Source.Doctor == nil {
		return errNotFound
	}
	s.mu.Lock()
	busy := s.running
	s.running = true
	s.mu.Unlock()
	if !busy {
		found := s.examine(q.r.Context())
		s.mu.Lock()
		s.findings, s.examined, s.running = found, c.now(), false
		s.mu.Unlock()
	}
	return q.redirect(q.self("doctor"))
}

func (s *source) examine(ctx context.Context) (found []parley.Finding) {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	defer func() { // the page must stay usable after a panic of a driver
		if p := recover(); p != nil {
			found = []parley.Finding{{Level: parley.FindingProblem, Name: "doctor", Detail: "the examination panicked"}}
		}
	}()
	return s.Source.Doctor(ctx)
}
