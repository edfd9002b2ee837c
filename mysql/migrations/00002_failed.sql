-- +goose NO TRANSACTION
-- +goose Up
-- Failed deliveries of consumers: those that wait for their next retry, and those that are parked.
-- Names are compared byte by byte: VARBINARY, because utf8mb4_bin ignores trailing spaces.
-- in_line is how a row affects later ones of its ordering key: 2 due or running, 1 behind or holding, 0 does not block them.
CREATE TABLE IF NOT EXISTS parley_failed (
    id              BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    consumer        VARBINARY(255) NOT NULL,
    repeat_of       BINARY(32)     NULL,
    key_digest      BINARY(32)     NULL,
    ordering_key    LONGTEXT       NOT NULL,
    state           VARCHAR(16)    NOT NULL,
    holds           BOOLEAN        NOT NULL DEFAULT FALSE,
    due_at          DATETIME(6)    NULL,
    claim           BIGINT         NOT NULL DEFAULT 0,
    claimed_by      VARCHAR(64)    NOT NULL DEFAULT '',
    begun           INT            NOT NULL DEFAULT 0,
    hops            INT            NOT NULL DEFAULT 0,
    attempts        INT            NOT NULL DEFAULT 0,
    replays         INT            NOT NULL DEFAULT 0,
    repeats         INT            NOT NULL DEFAULT 0,
    created_at      DATETIME(6)    NOT NULL,
    parked_at       DATETIME(6)    NULL,
    first_failure   DATETIME(6)    NULL,
    last_failure    DATETIME(6)    NULL,
    first_error     TEXT           NOT NULL,
    last_error      TEXT           NOT NULL,
    reason          TEXT           NOT NULL,
    fingerprint     VARCHAR(64)    NOT NULL DEFAULT '',
    exchange        VARCHAR(1024)  NOT NULL,
    routing_key     VARCHAR(1024)  NOT NULL,
    message_id      VARCHAR(1024)  NOT NULL DEFAULT '',
    identity        LONGTEXT       NOT NULL,
    identity_digest BINARY(32)     NULL,
    correlation_id  VARCHAR(1024)  NOT NULL DEFAULT '',
    size            INT            NOT NULL,
    in_line         TINYINT        GENERATED ALWAYS AS (CASE WHEN due_at IS NOT NULL THEN 2 WHEN parked_at IS NULL OR holds THEN 1 ELSE 0 END) STORED,
    UNIQUE KEY parley_failed_repeat (repeat_of),
    KEY parley_failed_due (consumer, state, due_at, id),
    KEY parley_failed_state (consumer, state, id),
    KEY parley_failed_key (key_digest, in_line, id),
    KEY parley_failed_parked (consumer, parked_at, id),
    KEY parley_failed_fingerprint (fingerprint, id),
    KEY parley_failed_identity (identity_digest),
    CHECK (state IN ('waiting', 'behind', 'running', 'parked')),
    CHECK ((due_at IS NULL) = (state IN ('behind', 'parked'))),
    CHECK ((parked_at IS NULL) = (state <> 'parked'))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The messages are in a table of their own: a change of a row's state must not rewrite megabytes.
CREATE TABLE IF NOT EXISTS parley_failed_body (
    id       BIGINT   NOT NULL PRIMARY KEY,
    envelope LONGBLOB NOT NULL,
    body     LONGBLOB NOT NULL
) ENGINE = InnoDB;

-- +goose Down
DROP TABLE IF EXISTS parley_failed;
DROP TABLE IF EXISTS parley_failed_body;
