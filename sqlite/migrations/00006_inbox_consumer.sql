-- +goose Up
-- A sweep reads the identities of its own consumer only.
CREATE INDEX parley_inbox_consumer ON parley_inbox (consumer, seen_at);
DROP INDEX parley_inbox_seen;

-- +goose Down
CREATE INDEX parley_inbox_seen ON parley_inbox (seen_at);
DROP INDEX parley_inbox_consumer;
