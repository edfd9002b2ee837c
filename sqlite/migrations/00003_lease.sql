-- +goose Up
-- The duration of a lease, in microseconds. A lease that ends later than twice its duration from now was
-- written while the clock was ahead. 0 means a lease of a version without the column.
ALTER TABLE parley_lease ADD COLUMN length INTEGER NOT NULL DEFAULT 0;
ALTER TABLE parley_held ADD COLUMN length INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE parley_lease DROP COLUMN length;
ALTER TABLE parley_held DROP COLUMN length;
