package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-go/parley"
)

// pooled returns the pool of the store.
func (e *engine[Tx]) pooled() any { return e.pool }

// failedState is the state that Check reads.
type failedState struct {
	exists, mayTake             bool
	persistence, encoding, role string
	readOnly, standby           bool
	lacking                     string
}

// Check implements parley.FailureStore.
func (f *failures[Tx]) Check(ctx context.Context) error {
	var s failedState
	const q = `SELECT c.oid IS NOT NULL, coalesce(c.relpersistence::text, ''), current_setting('server_encoding'), current_user::text,
 current_setting('transaction_read_only') = 'on', pg_is_in_recovery(),
 coalesce((SELECT string_agg(p, ', ' ORDER BY n) FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) WITH ORDINALITY x (p, n) WHERE NOT has_table_privilege(c.oid, p)), ''),
 coalesce(has_sequence_privilege(pg_get_serial_sequence(CASE WHEN c.oid IS NOT NULL THEN $1::text END, 'id'), 'USAGE'), false)
 FROM (SELECT to_regclass($1::text) AS oid) r LEFT JOIN pg_class c ON c.oid = r.oid`
	err := f.inTx(ctx, func(c ownTx) error {
		return c.finish(ctx, statement{query: q, args: []any{f.e.names.failed}, scan: func(row scanner) error {
			return row.Scan(&s.exists, &s.persistence, &s.encoding, &s.role, &s.readOnly, &s.standby, &s.lacking, &s.mayTake)
		}})
	})
	if err == nil {
		err = f.problem(&s)
	}
	if err != nil {
		return fmt.Errorf("postgres: check the table of failed deliveries: %w", err)
	}
	return nil
}

func (f *failures[Tx]) problem(s *failedState) error {
	t := f.e.names.failed
	if !s.exists {
		return fmt.Errorf("%w: there is no table %s in the search path (run \"parley migrate up\")", parley.ErrFailuresNotReady, t)
	}
	var errs []error
	if s.lacking != "" {
		errs = append(errs, fmt.Errorf("role %q lacks %s on %s (GRANT %s ON %s TO %s)", s.role, s.lacking, t, s.lacking, t, s.role))
	}
	if !s.mayTake {
		errs = append(errs, fmt.Errorf("role %q lacks USAGE on the sequence of the ids (GRANT USAGE ON SEQUENCE %s_id_seq TO %s)", s.role, f.e.names.failedTable, s.role))
	}
	switch {
	case s.standby:
		errs = append(errs, errors.New("the server is a read-only standby (connect to the primary, for example with target_session_attrs=read-write)"))
	case s.readOnly:
		errs = append(errs, errors.New("the session is read-only (check default_transaction_read_only of the role and the database)"))
	}
	if s.persistence != "p" {
		errs = append(errs, fmt.Errorf("table %s is unlogged: a crash of the server empties it (ALTER TABLE %s SET LOGGED)", t, t))
	}
	if s.encoding != "UTF8" && s.encoding != "SQL_ASCII" {
		errs = append(errs, fmt.Errorf("the database has the encoding %s, which cannot store every message and error text (create the database with UTF8)", s.encoding))
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", parley.ErrFailuresNotReady, errors.Join(errs...))
}
