module github.com/parley-go/parley/internal/sqlstore

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/parley-go/parley v0.0.0
	github.com/pressly/goose/v3 v3.29.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/mfridman/interpolate v0.0.2 // indirect
	github.com/sethvargo/go-retry v0.5.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	modernc.org/sqlite v1.62.0 // indirect
)

replace github.com/parley-go/parley => ../..
