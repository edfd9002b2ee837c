-- +goose NO TRANSACTION
-- +goose Up
-- The log of what operators did. An action of several transactions has one row: changed and last_id grow with each of them.
CREATE TABLE IF NOT EXISTS parley_log (
    id       BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at       DATETIME(6) NOT NULL,
    actor    TEXT        NOT NULL,
    host     TEXT        NOT NULL,
    reason   TEXT        NOT NULL,
    action   VARCHAR(64) NOT NULL,
    filter   TEXT        NOT NULL,
    changed  BIGINT      NOT NULL DEFAULT 0,
    old_body LONGBLOB    NULL,
    new_body LONGBLOB    NULL,
    state    VARCHAR(16) NOT NULL DEFAULT 'done',
    last_id  BIGINT      NOT NULL DEFAULT 0,
    up_to    BIGINT      NOT NULL DEFAULT 0,
    total    BIGINT      NOT NULL DEFAULT 0,
    detail   TEXT        NOT NULL,
    KEY parley_log_at (at),
    KEY parley_log_state (state, id),
    CHECK (state IN ('done', 'running', 'stopped'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What is paused. Each process reads the rows whose time is not over once a second.
CREATE TABLE IF NOT EXISTS parley_control (
    id         BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    part       VARCHAR(16)    NOT NULL,
    scope      VARCHAR(16)    NOT NULL,
    name       VARBINARY(255) NOT NULL,
    until      DATETIME(6)    NOT NULL,
    created_at DATETIME(6)    NOT NULL,
    actor      TEXT           NOT NULL,
    host       TEXT           NOT NULL,
    reason     TEXT           NOT NULL,
    UNIQUE KEY parley_control_name (part, scope, name),
    KEY parley_control_until (until),
    CHECK (part IN ('relay', 'consumer')),
    CHECK (scope IN ('exchange', 'queue', 'routing_key'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS parley_control;
DROP TABLE IF EXISTS parley_log;
