package postgres_test

import "context"

// A writer writes once through a store, in one of the ways that services use.
type writer struct {
	name  string
	write func(ctx context.Context) error
}

const insertSeen = "INSERT INTO seen VALUES (1)"
