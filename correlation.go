package parley

import (
	"context"
)

type correlationKey struct{}

// WithCorrelationID returns a context that carries id. Every message published,
// sent or asked with this context carries the id too, and the handlers of all services see it.
// An id that cannot travel (over 128 bytes, or not printable ASCII) is ignored.
func WithCorrelationID(ctx context.Context, id string) context.Context {
	if !validCorrelationID(id) {
		return ctx
	}
	return context.WithValue(ctx, correlationKey{}, id)
}

// CorrelationID returns the correlation id that ctx carries, or "".
func CorrelationID(ctx context.Context) string {
	id, _ := ctx.Value(correlationKey{}).(string)
	return id
}

// validCorrelationID keeps invalid ids out of logs and frames: 256 bytes would close the
// connection, and control characters forge log lines.
func validCorrelationID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] > 0x7e {
			return false
		}
	}
	return true
}
