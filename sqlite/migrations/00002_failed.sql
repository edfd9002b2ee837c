-- +goose Up
-- Failed deliveries of consumers: those that wait for their next retry, and those that are parked.
-- Times are microseconds since 1970, UTC. Ids are never used twice.
-- in_line is how a row affects later ones of its ordering key: 2 due or running, 1 behind or holding, 0 does not block them.
CREATE TABLE parley_failed (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer       TEXT    NOT NULL,
    repeat_of      BLOB,
    ordering_key   TEXT    NOT NULL DEFAULT '',
    state          TEXT    NOT NULL CHECK (state IN ('waiting', 'behind', 'running', 'parked')),
    holds          INTEGER NOT NULL DEFAULT 0,
    due_at         INTEGER,
    claim          INTEGER NOT NULL DEFAULT 0,
    claimed_by     TEXT    NOT NULL DEFAULT '',
    begun          INTEGER NOT NULL DEFAULT 0,
    hops           INTEGER NOT NULL DEFAULT 0,
    attempts       INTEGER NOT NULL DEFAULT 0,
    replays        INTEGER NOT NULL DEFAULT 0,
    repeats        INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    parked_at      INTEGER,
    first_failure  INTEGER,
    last_failure   INTEGER,
    first_error    TEXT    NOT NULL DEFAULT '',
    last_error     TEXT    NOT NULL DEFAULT '',
    reason         TEXT    NOT NULL DEFAULT '',
    fingerprint    TEXT    NOT NULL DEFAULT '',
    exchange       TEXT    NOT NULL,
    routing_key    TEXT    NOT NULL,
    message_id     TEXT    NOT NULL DEFAULT '',
    identity       TEXT    NOT NULL DEFAULT '',
    correlation_id TEXT    NOT NULL DEFAULT '',
    size           INTEGER NOT NULL,
    in_line        INTEGER GENERATED ALWAYS AS (CASE WHEN due_at IS NOT NULL THEN 2 WHEN parked_at IS NULL OR holds THEN 1 ELSE 0 END) STORED,
    CHECK ((due_at IS NULL) = (state IN ('behind', 'parked'))),
    CHECK ((parked_at IS NULL) = (state <> 'parked'))
) STRICT;
CREATE UNIQUE INDEX parley_failed_repeat ON parley_failed (repeat_of) WHERE repeat_of IS NOT NULL;
CREATE INDEX parley_failed_due ON parley_failed (consumer, state, due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX parley_failed_state ON parley_failed (consumer, state, id);
CREATE INDEX parley_failed_key ON parley_failed (consumer, ordering_key, in_line, id) WHERE ordering_key <> '';
CREATE INDEX parley_failed_parked ON parley_failed (consumer, parked_at, id) WHERE parked_at IS NOT NULL;
CREATE INDEX parley_failed_fingerprint ON parley_failed (fingerprint, id) WHERE fingerprint <> '';
CREATE INDEX parley_failed_identity ON parley_failed (identity) WHERE identity <> '';

-- The messages are in a table of their own: a change of a row's state must not rewrite megabytes.
CREATE TABLE parley_failed_body (
    id       INTEGER PRIMARY KEY,
    envelope BLOB NOT NULL,
    body     BLOB NOT NULL
) STRICT;

-- +goose Down
DROP TABLE parley_failed;
DROP TABLE parley_failed_body;
