package mysql_test

import (
	"bytes"
	"context"
	"database/sql"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
	"github.com/parley-go/parley/mysql"
)

func TestAConnectionWithoutAutocommitIsRefused(t *testing.T) {
	dsn := testenv.MariaDB(t)
	openDSN(t, dsn)
	for _, value := range []string{"0", "OFF", "false"} {
		if _, err := mysql.Open(dsn+"?autocommit="+value, nil); err == nil {
			t.Errorf("Open accepts autocommit=%s", value)
		}
	}
	db, err := sql.Open("mysql", dsn+"?autocommit=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := mysql.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, do := range map[string]func(ctx context.Context) error{
		"Claim": func(ctx context.Context) error { _, err := s.Claim(ctx, parley.ClaimOptions{Limit: 1}); return err },
		"InTx":  func(ctx context.Context) error { return s.InTx(ctx, func(*sql.Tx) error { return nil }) },
		"Once": func(ctx context.Context) error {
			return s.Once(ctx, "billing", "m-1", func(context.Context, mysql.Tx) error { return nil })
		},
		"Migrate": s.Migrate,
		"Watch":   func(ctx context.Context) error { return s.Watch(ctx, func() {}) },
		"Check":   s.Failures().Check,
		"Keep": func(ctx context.Context) error {
			_, err := s.Failures().Keep(ctx, "billing", []parley.Failure{failed(nil)})
			return err
		},
	} {
		if err := do(t.Context()); err == nil || !bytes.Contains([]byte(err.Error()), []byte("autocommit=0")) {
			t.Errorf("%s returns %v, want an error that names autocommit=0", what, err)
		}
	}
}
