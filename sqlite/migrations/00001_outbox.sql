-- +goose Up
-- Times are microseconds since 1970, UTC. Ids are never used twice: they become event ids.
CREATE TABLE parley_outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at  INTEGER NOT NULL,
    exchange    TEXT    NOT NULL,
    routing_key TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    due_at      INTEGER,
    tags        TEXT,
    properties  TEXT    NOT NULL
) STRICT;
-- This index serves records without a due time (null, in the order of the ids) and scheduled ones.
CREATE INDEX parley_outbox_due ON parley_outbox (due_at);

-- One row for each tag of a scheduled record.
CREATE TABLE parley_outbox_tags (
    digest    BLOB    NOT NULL,
    record_id INTEGER NOT NULL,
    PRIMARY KEY (digest, record_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX parley_outbox_tags_record ON parley_outbox_tags (record_id);

-- +goose StatementBegin
CREATE TRIGGER parley_outbox_deleted AFTER DELETE ON parley_outbox WHEN old.tags IS NOT NULL
BEGIN
    DELETE FROM parley_outbox_tags WHERE record_id = old.id;
END;
-- +goose StatementEnd

-- The lease of ordered relays, and the records that relays hold.
CREATE TABLE parley_lease (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    owner TEXT    NOT NULL,
    until INTEGER NOT NULL
) STRICT;
INSERT INTO parley_lease (id, owner, until) VALUES (1, '', 0);
CREATE TABLE parley_held (
    record_id INTEGER PRIMARY KEY,
    owner     TEXT    NOT NULL,
    until     INTEGER NOT NULL
) STRICT;

CREATE TABLE parley_parked (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    record_id   INTEGER NOT NULL,
    parked_at   INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    exchange    TEXT    NOT NULL,
    routing_key TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    properties  TEXT    NOT NULL
) STRICT;

CREATE TABLE parley_inbox (
    consumer TEXT    NOT NULL,
    identity TEXT    NOT NULL,
    seen_at  INTEGER NOT NULL,
    PRIMARY KEY (consumer, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX parley_inbox_seen ON parley_inbox (seen_at);

-- +goose Down
DROP TABLE parley_outbox;
DROP TABLE parley_outbox_tags;
DROP TABLE parley_lease;
DROP TABLE parley_held;
DROP TABLE parley_parked;
DROP TABLE parley_inbox;
