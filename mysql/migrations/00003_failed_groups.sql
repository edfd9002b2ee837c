-- +goose NO TRANSACTION
-- +goose Up
-- The index for groups of parked rows. MySQL commits CREATE INDEX separately and has no IF NOT EXISTS for it, so the
-- statement is built only if the index is missing.
SET @parley_ddl = IF((SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'parley_failed' AND index_name = 'parley_failed_group') = 0,
    'CREATE INDEX parley_failed_group ON parley_failed (consumer, state, fingerprint, id)', 'DO 0');
PREPARE parley_ddl FROM @parley_ddl;
EXECUTE parley_ddl;
DEALLOCATE PREPARE parley_ddl;

-- +goose Down
DROP INDEX parley_failed_group ON parley_failed;
