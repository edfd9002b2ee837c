package parley

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-go/parley/internal/failpoint"
)

// attempt calls the handler once.
func (s *session) attempt(j *job) error {
	c := s.c
	if j.exited {
		j.exited = false
		return errGoexit
	}
	if j.route == nil {
		return errUnhandled
	}
	if j.tries == 0 && c.cfg.Hooks.Start != nil {
		c.cfg.Hooks.Start(j.d)
	}
	j.tries++
	j.began = time.Now()
	ctx, cancel := context.WithTimeoutCause(s.hard, c.cfg.HandlerTimeout, errHandlerTimeout)
	if j.row != nil {
		var stop func()
		ctx, stop = s.rows.watch(ctx, j)
		defer stop()
	}
	dog := s.watchHandler(j)
	c.beginHandler(j)
	defer func() {
		cancel()
		dog.stop()
		c.endHandler(j)
		j.took += time.Since(j.began)
	}()
	err := failpoint.Hit("consumer.handling")
	if err == nil {
		err = harmless(protect(WithCorrelationID(ctx, j.d.CorrelationID), j.route.handler, j.d))
	}
	if err != nil && context.Cause(ctx) == errHandlerTimeout && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w (%v): %w", errHandlerTimeout, c.cfg.HandlerTimeout, err)
	}
	return err
}
