package service

import (
	"context"

	"github.com/parley-go/parley/memory"
)

// openMemory returns a store in the memory of this process.
func openMemory() database {
	s := memory.NewStore()
	return newAdapter(s, s.Failures(),
		func(tx *memory.Tx) *Tx { return &Tx{Memory: tx} },
		func(tx *Tx) *memory.Tx { return tx.Memory },
		s.InTx,
		admin{
			operations: s,
			migrate:    func(context.Context) error { return nil },
			migrations: func(context.Context) ([]Migration, error) { return nil, nil },
			ping:       func(context.Context) error { return nil },
			close:      func() error { return nil },
		})
}
