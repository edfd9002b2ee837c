package service

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/parley-go/parley/service/internal/terminal"
	"github.com/parley-go/parley/service/settings"
)

// newLogger returns the logger of the settings. It writes to w, by default to standard error.
func newLogger(l *settings.Log, w io.Writer) *slog.Logger {
	if w == nil {
		w = os.Stderr
	}
	levels := componentLevels{levelOf(l.Level), map[string]slog.Level{}}
	lowest := levels.others
	for name, text := range l.Levels {
		levels.of[name] = levelOf(text)
		lowest = min(lowest, levels.of[name])
	}
	o := &slog.HandlerOptions{Level: lowest}
	var handler slog.Handler = slog.NewTextHandler(terminal.LogLines{W: w}, o)
	if l.Format == "json" {
		handler = slog.NewJSONHandler(terminal.LogLines{W: w}, o)
	}
	if len(levels.of) > 0 {
		handler = componentHandler{handler, levels}
	}
	return slog.New(handler)
}

func levelOf(text string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return slog.LevelInfo // the settings have been checked
	}
	return level
}

// componentLevels are the levels of the setting log.levels, and the level of all other components.
type componentLevels struct {
	others slog.Level
	of     map[string]slog.Level
}

// A componentHandler drops records below the level of their component, which is the first word of the message.
type componentHandler struct {
	slog.Handler
	levels componentLevels
}

// Handle implements slog.Handler.
func (h componentHandler) Handle(ctx context.Context, r slog.Record) error {
	component, _, _ := strings.Cut(r.Message, ":")
	level, ok := h.levels.of[component]
	if !ok {
		level = h.levels.others
	}
	if r.Level < level {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h componentHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return componentHandler{h.Handler.WithAttrs(attrs), h.levels}
}

// WithGroup implements slog.Handler.
func (h componentHandler) WithGroup(name string) slog.Handler {
	return componentHandler{h.Handler.WithGroup(name), h.levels}
}
