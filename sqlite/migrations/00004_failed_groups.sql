-- +goose Up
-- The index for groups of parked rows.
CREATE INDEX parley_failed_group ON parley_failed (consumer, fingerprint, id) WHERE state = 'parked';

-- +goose Down
DROP INDEX parley_failed_group;
