-- +goose Up
-- The log of what operators did. An action of several transactions has one row: changed and last_id grow with each of them.
CREATE TABLE parley_log (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL DEFAULT '',
    host     TEXT    NOT NULL DEFAULT '',
    reason   TEXT    NOT NULL DEFAULT '',
    action   TEXT    NOT NULL,
    filter   TEXT    NOT NULL DEFAULT '',
    changed  INTEGER NOT NULL DEFAULT 0,
    old_body BLOB,
    new_body BLOB,
    state    TEXT    NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'running', 'stopped')),
    last_id  INTEGER NOT NULL DEFAULT 0,
    up_to    INTEGER NOT NULL DEFAULT 0,
    total    INTEGER NOT NULL DEFAULT 0,
    detail   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX parley_log_at ON parley_log (at);
CREATE INDEX parley_log_running ON parley_log (id) WHERE state = 'running';

-- What is paused. Each process reads the rows whose time is not over once a second.
CREATE TABLE parley_control (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    part       TEXT    NOT NULL CHECK (part IN ('relay', 'consumer')),
    scope      TEXT    NOT NULL CHECK (scope IN ('exchange', 'queue', 'routing_key')),
    name       BLOB    NOT NULL,
    until      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    actor      TEXT    NOT NULL DEFAULT '',
    host       TEXT    NOT NULL DEFAULT '',
    reason     TEXT    NOT NULL DEFAULT '',
    UNIQUE (part, scope, name)
) STRICT;
CREATE INDEX parley_control_until ON parley_control (until);

-- +goose Down
DROP TABLE parley_control;
DROP TABLE parley_log;
