package service

import (
	"context"
	"log/slog"
	"time"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service/internal/sleep"
)

// openControl creates the control of relay and consumers, which run it. Pauses hold with and without metrics.
func (s *Service) openControl() (err error) {
	if s.control, err = parley.NewControl(s.db, &parley.ControlConfig{Logger: s.Logger}); err != nil {
		return err
	}
	return s.Telemetry.ObservePauses(s.control)
}

// Control tells what operators have paused. It is read while a relay or a consumer of the service runs. Nil without a database.
func (s *Service) Control() *parley.Control { return s.control }

// An actionSweeper deletes old entries of the action log.
type actionSweeper struct {
	log       parley.ActionLog
	retention time.Duration
	logger    *slog.Logger
}

const (
	actionSweepInterval = time.Hour
	actionSweepLimit    = 1000 // entries of one transaction
)

// Run implements parley.Runner.
func (a *actionSweeper) Run(ctx context.Context) error {
	for sleep.For(ctx, actionSweepInterval) {
		for n := actionSweepLimit; n == actionSweepLimit && ctx.Err() == nil; {
			var err error
			if n, err = a.log.SweepActions(ctx, a.retention, actionSweepLimit); err != nil && ctx.Err() == nil {
				a.logger.Debug("service: deleting old entries of the action log failed", "err", err) // the table may be missing
			}
		}
	}
	return nil
}
