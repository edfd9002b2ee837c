-- +goose Up
-- The log of what operators did. An action of several transactions has one row: changed and last_id grow with each of them.
CREATE TABLE parley_log (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor    text        NOT NULL DEFAULT '',
    host     text        NOT NULL DEFAULT '',
    reason   text        NOT NULL DEFAULT '',
    action   text        NOT NULL,
    filter   text        NOT NULL DEFAULT '',
    changed  bigint      NOT NULL DEFAULT 0,
    old_body bytea,
    new_body bytea,
    state    text        NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'running', 'stopped')),
    last_id  bigint      NOT NULL DEFAULT 0,
    up_to    bigint      NOT NULL DEFAULT 0,
    total    bigint      NOT NULL DEFAULT 0,
    detail   text        NOT NULL DEFAULT ''
);
CREATE INDEX parley_log_at ON parley_log (at);
CREATE INDEX parley_log_running ON parley_log (id) WHERE state = 'running';

-- What is paused. Each process reads the rows whose time is not over once a second.
CREATE TABLE parley_control (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    part       text        NOT NULL CHECK (part IN ('relay', 'consumer')),
    scope      text        NOT NULL CHECK (scope IN ('exchange', 'queue', 'routing_key')),
    name       text        NOT NULL DEFAULT '',
    until      timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text        NOT NULL DEFAULT '',
    host       text        NOT NULL DEFAULT '',
    reason     text        NOT NULL DEFAULT '',
    UNIQUE (part, scope, name)
);
CREATE INDEX parley_control_until ON parley_control (until);

-- +goose Down
DROP TABLE parley_control;
DROP TABLE parley_log;
