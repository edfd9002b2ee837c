module github.com/parley-go/parley/mysql

go 1.26.0

require (
	github.com/go-sql-driver/mysql v1.10.1
	github.com/parley-go/parley v0.0.0
	github.com/parley-go/parley/internal/sqlstore v0.0.0
	github.com/parley-go/parley/internal/testenv v0.0.0
	github.com/pressly/goose/v3 v3.29.0
	go.uber.org/goleak v1.3.0
)

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	github.com/mfridman/interpolate v0.0.2 // indirect
	github.com/rabbitmq/amqp091-go v1.16.0 // indirect
	github.com/sethvargo/go-retry v0.5.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	modernc.org/libc v1.80.1 // indirect
)

replace (
	github.com/parley-go/parley => ..
	github.com/parley-go/parley/internal/sqlstore => ../internal/sqlstore
	github.com/parley-go/parley/internal/testenv => ../internal/testenv
)
