-- name: RenameAccount :exec
UPDATE accounts SET name = sqlc.arg(name) WHERE id = sqlc.arg(id);

-- name: CreateGreeting :exec
INSERT INTO greetings (account_id, text) VALUES (sqlc.arg(account_id), sqlc.arg(text));
