-- +goose Up
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION parley_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- NOTIFY serializes the commits of the whole server, so it is only sent while a relay sleeps and holds this lock. The test is
    -- one expression: a cancelled statement must not leave the lock behind. The key is that of flagSpace in flag.go.
    IF (CASE WHEN pg_try_advisory_lock_shared((1885434476::bigint << 32) | TG_RELID::bigint)
        THEN NOT pg_advisory_unlock_shared((1885434476::bigint << 32) | TG_RELID::bigint) ELSE true END) THEN
        -- The channel is hashed: a name over 63 bytes would fail the caller's INSERT.
        PERFORM pg_notify('parley_' || md5(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME), '');
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION parley_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('parley_' || md5(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME), '');
    RETURN NULL;
END $$;
-- +goose StatementEnd
