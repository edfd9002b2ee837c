package parley

import (
	"context"
	"time"
)

// A patientStore bounds each call of a consumer to its failure store. A connection that was cut silently answers only when TCP gives
// up, after a quarter of an hour on Linux: claims, stored failures and renewed leases must not wait for it.
type patientStore struct{ FailureStore }

func (p patientStore) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return p.FailureStore.Check(ctx)
}

// Promote does nothing if the store has no transactions of handlers.
func (p patientStore) Promote(ctx context.Context, consumer, key string) error {
	promoter, ok := p.FailureStore.(failurePromoter)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return promoter.Promote(ctx, consumer, key)
}

func (p patientStore) Keep(ctx context.Context, consumer string, failures []Failure) ([]KeptFailure, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return p.FailureStore.Keep(ctx, consumer, failures)
}

func (p patientStore) Claim(ctx context.Context, consumer string, o FailureClaimOptions) ([]ClaimedFailure, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return p.FailureStore.Claim(ctx, consumer, o)
}

// Renew gives up early enough for a second try within the lease.
func (p patientStore) Renew(ctx context.Context, claims []FailureClaim, lease time.Duration) ([]FailureClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, renewInterval/2)
	defer cancel()
	return p.FailureStore.Renew(ctx, claims, lease)
}

func (p patientStore) Settle(ctx context.Context, c FailureClaim, o FailureOutcome) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return p.FailureStore.Settle(ctx, c, o)
}

func (p patientStore) KeysWithRows(ctx context.Context, consumer string, keys []string) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return p.FailureStore.KeysWithRows(ctx, consumer, keys)
}

func (p patientStore) NextDue(ctx context.Context, consumer string) (time.Duration, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return p.FailureStore.NextDue(ctx, consumer)
}

func (p patientStore) Sweep(ctx context.Context, consumer string, retention time.Duration, limit int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return p.FailureStore.Sweep(ctx, consumer, retention, limit)
}
