-- +goose Up
-- Rows that are claimed move from waiting to running: with this order of states they stay near their place in the index.
DROP INDEX parley_failed_state;
CREATE INDEX parley_failed_state ON parley_failed (consumer, state DESC, id);

-- +goose Down
DROP INDEX parley_failed_state;
CREATE INDEX parley_failed_state ON parley_failed (consumer, state, id);
