package demo

import (
	"context"
	"errors"
	"sync"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
)

// memoryStorage runs the demo without a database, in virtual time.
type memoryStorage struct {
	*memory.Store
	outbox *parley.Outbox[*memory.Tx]

	mu    sync.Mutex // guards the field below
	users map[int64]bool
}

func newMemoryStorage() (*memoryStorage, error) {
	s := memory.NewStore()
	o, err := parley.NewOutbox(s, nil)
	return &memoryStorage{Store: s, outbox: o, users: map[int64]bool{}}, err
}

func (m *memoryStorage) InTx(ctx context.Context, u User, fn func(in *parley.TxOutbox) error) error {
	err := m.Store.InTx(ctx, func(tx *memory.Tx) error { return fn(m.outbox.In(tx)) })
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.users[u.ID] = true
	}
	return err
}

func (m *memoryStorage) Users(context.Context) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.users), nil
}

// leaky commits transactions that should roll back.
type leaky struct{ *memoryStorage }

func (l leaky) InTx(ctx context.Context, u User, fn func(in *parley.TxOutbox) error) error {
	var failed error
	err := l.memoryStorage.InTx(ctx, u, func(in *parley.TxOutbox) error {
		failed = fn(in)
		return nil
	})
	return errors.Join(err, failed)
}
