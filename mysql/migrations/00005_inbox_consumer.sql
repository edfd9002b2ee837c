-- +goose NO TRANSACTION
-- +goose Up
-- A sweep reads the identities of its own consumer only. MySQL commits each statement separately and has no IF NOT EXISTS for indexes,
-- so each statement is built only if it is needed.
SET @parley_ddl = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'parley_inbox' AND index_name = 'parley_inbox_consumer') = 0,
    'CREATE INDEX parley_inbox_consumer ON parley_inbox (consumer(255), seen_at)', 'DO 0');
PREPARE parley_ddl FROM @parley_ddl;
EXECUTE parley_ddl;
DEALLOCATE PREPARE parley_ddl;

SET @parley_ddl = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'parley_inbox' AND index_name = 'parley_inbox_seen') > 0,
    'DROP INDEX parley_inbox_seen ON parley_inbox', 'DO 0');
PREPARE parley_ddl FROM @parley_ddl;
EXECUTE parley_ddl;
DEALLOCATE PREPARE parley_ddl;

-- +goose Down
CREATE INDEX parley_inbox_seen ON parley_inbox (seen_at);
DROP INDEX parley_inbox_consumer ON parley_inbox;
