package sqlstoretest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"
)

// A Recording records the statements of all connections of a database, so that a test can check their plans.
type Recording struct {
	driver driver.Driver
	dsn    string

	mu sync.Mutex
	// mu guards the field below.
	statements []Statement
}

// Record opens a database with a recording wrapper around the driver of another one.
func Record(db *sql.DB, dsn string) (*sql.DB, *Recording) {
	r := &Recording{driver: db.Driver(), dsn: dsn}
	return sql.OpenDB(r), r
}

// Take returns the statements since its last call.
func (r *Recording) Take() []Statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.statements
	r.statements = nil
	return taken
}

func (r *Recording) note(query string, args []driver.NamedValue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Statement{Query: query}
	for _, a := range args {
		s.Args = append(s.Args, a.Value)
	}
	r.statements = append(r.statements, s)
}

// Connect implements driver.Connector.
func (r *Recording) Connect(context.Context) (driver.Conn, error) {
	c, err := r.driver.Open(r.dsn)
	if err != nil {
		return nil, err
	}
	return &recordedConn{c, r}, nil
}

// Driver implements driver.Connector.
func (r *Recording) Driver() driver.Driver { return r.driver }

// A recordedConn forwards all calls.
type recordedConn struct {
	driver.Conn
	recording *Recording
}

// ExecContext implements driver.ExecerContext.
func (c *recordedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.recording.note(query, args)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

// QueryContext implements driver.QueryerContext.
func (c *recordedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.recording.note(query, args)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

// BeginTx implements driver.ConnBeginTx.
func (c *recordedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}
