-- +goose Up
CREATE TABLE parley_failed (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer       text        NOT NULL,
    repeat_of      bytea,
    ordering_key   text        NOT NULL DEFAULT '',
    state          text        NOT NULL CHECK (state IN ('waiting', 'behind', 'running', 'parked')),
    holds          boolean     NOT NULL DEFAULT false,
    due_at         timestamptz,
    claim          bigint      NOT NULL DEFAULT 0,
    claimed_by     text        NOT NULL DEFAULT '',
    begun          integer     NOT NULL DEFAULT 0,
    hops           integer     NOT NULL DEFAULT 0,
    attempts       integer     NOT NULL DEFAULT 0,
    replays        integer     NOT NULL DEFAULT 0,
    repeats        integer     NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    parked_at      timestamptz,
    first_failure  timestamptz,
    last_failure   timestamptz,
    first_error    text        NOT NULL DEFAULT '',
    last_error     text        NOT NULL DEFAULT '',
    reason         text        NOT NULL DEFAULT '',
    fingerprint    text        NOT NULL DEFAULT '',
    exchange       text        NOT NULL,
    routing_key    text        NOT NULL,
    message_id     text        NOT NULL DEFAULT '',
    identity       text        NOT NULL DEFAULT '',
    correlation_id text        NOT NULL DEFAULT '',
    size           integer     NOT NULL,
    envelope       bytea       NOT NULL,
    body           bytea       NOT NULL,
    CHECK ((due_at IS NULL) = (state IN ('parked', 'behind'))),
    CHECK ((parked_at IS NULL) = (state <> 'parked'))
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX parley_failed_repeat ON parley_failed (repeat_of) WHERE repeat_of IS NOT NULL;
-- Rows that have begun twice without an outcome have an index of their own: a claim must not read past 100,000 of them.
CREATE INDEX parley_failed_due ON parley_failed (consumer, due_at, id) WHERE due_at IS NOT NULL AND begun < 2;
CREATE INDEX parley_failed_suspect ON parley_failed (consumer, due_at, id) WHERE due_at IS NOT NULL AND begun >= 2;
CREATE INDEX parley_failed_state ON parley_failed (consumer, state, id);
-- The rows of a key that block later ones, those that are due or running, and those that are behind.
CREATE INDEX parley_failed_key ON parley_failed (consumer, ordering_key, id) WHERE ordering_key <> '' AND (state <> 'parked' OR holds);
CREATE INDEX parley_failed_key_due ON parley_failed (consumer, ordering_key, id) WHERE ordering_key <> '' AND due_at IS NOT NULL;
CREATE INDEX parley_failed_behind ON parley_failed (consumer, ordering_key, id) WHERE state = 'behind';
CREATE INDEX parley_failed_parked ON parley_failed (consumer, fingerprint, id) WHERE state = 'parked';
CREATE INDEX parley_failed_parked_at ON parley_failed (consumer, parked_at) WHERE state = 'parked';
CREATE INDEX parley_failed_identity ON parley_failed (identity) WHERE identity <> '';

-- +goose Down
DROP TABLE parley_failed;
