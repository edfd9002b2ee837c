-- +goose Up
CREATE TABLE parley_outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    exchange    text        NOT NULL,
    routing_key text        NOT NULL,
    kind        text        NOT NULL,
    body        text        NOT NULL,
    due_at      timestamptz,
    tags        jsonb,
    properties  jsonb       NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX parley_outbox_at_once ON parley_outbox (id) WHERE due_at IS NULL;
CREATE INDEX parley_outbox_scheduled ON parley_outbox (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX parley_outbox_tags ON parley_outbox USING gin (tags jsonb_path_ops) WITH (fastupdate = off) WHERE tags IS NOT NULL;

CREATE TABLE parley_parked (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id   bigint      NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason      text        NOT NULL,
    exchange    text        NOT NULL,
    routing_key text        NOT NULL,
    kind        text        NOT NULL,
    body        text        NOT NULL,
    properties  jsonb       NOT NULL
);

CREATE TABLE parley_inbox (
    consumer text        NOT NULL,
    identity text        NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, identity)
);
CREATE INDEX parley_inbox_seen ON parley_inbox (seen_at);

-- +goose StatementBegin
CREATE FUNCTION parley_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The channel is hashed: a name over 63 bytes would fail the caller's INSERT.
    PERFORM pg_notify('parley_' || md5(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME), '');
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER parley_outbox_notify AFTER INSERT ON parley_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION parley_outbox_notify();

-- +goose Down
DROP TABLE parley_outbox, parley_parked, parley_inbox;
DROP FUNCTION parley_outbox_notify;
