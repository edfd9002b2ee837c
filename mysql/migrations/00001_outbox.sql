-- +goose NO TRANSACTION
-- +goose Up
-- MySQL commits each of these statements separately, so each may be repeated.
-- Times are UTC. Texts are compared byte by byte.
CREATE TABLE IF NOT EXISTS parley_outbox (
    id          BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created_at  DATETIME(6)  NOT NULL,
    exchange    VARCHAR(255) NOT NULL,
    routing_key VARCHAR(255) NOT NULL,
    kind        VARCHAR(255) NOT NULL,
    body        LONGTEXT     NOT NULL,
    due_at      DATETIME(6)  NULL,
    tags        LONGTEXT     NULL,
    properties  LONGTEXT     NOT NULL,
    KEY parley_outbox_due (due_at, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row for each tag of a scheduled record.
CREATE TABLE IF NOT EXISTS parley_outbox_tags (
    digest    BINARY(16) NOT NULL,
    record_id BIGINT     NOT NULL,
    PRIMARY KEY (digest, record_id),
    KEY parley_outbox_tags_record (record_id)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS parley_parked (
    id          BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    record_id   BIGINT       NOT NULL,
    parked_at   DATETIME(6)  NOT NULL,
    reason      LONGTEXT     NOT NULL,
    exchange    VARCHAR(255) NOT NULL,
    routing_key VARCHAR(255) NOT NULL,
    kind        VARCHAR(255) NOT NULL,
    body        LONGTEXT     NOT NULL,
    properties  LONGTEXT     NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The key is the SHA-256 of consumer and identity, which may be longer than a key can be.
CREATE TABLE IF NOT EXISTS parley_inbox (
    digest   BINARY(32)  NOT NULL PRIMARY KEY,
    consumer LONGTEXT    NOT NULL,
    identity LONGTEXT    NOT NULL,
    seen_at  DATETIME(6) NOT NULL,
    KEY parley_inbox_seen (seen_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Rows to be locked: 0 by the ordered relay, the others by callers with the same tags.
CREATE TABLE IF NOT EXISTS parley_locks (
    id INT NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

INSERT IGNORE INTO parley_locks (id)
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 256)
SELECT i FROM n;

-- +goose Down
DROP TABLE IF EXISTS parley_outbox;
DROP TABLE IF EXISTS parley_outbox_tags;
DROP TABLE IF EXISTS parley_parked;
DROP TABLE IF EXISTS parley_inbox;
DROP TABLE IF EXISTS parley_locks;
