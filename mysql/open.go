package mysql

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// Open returns a store that owns its *sql.DB. It does not connect yet. The DSN has the form
// of go-sql-driver/mysql, such as "user:password@tcp(host:3306)/database". Default timeouts
// are 10s to connect and 90s for an answer, which is longer than the
// server's lock wait. Migrate has no timeout for an answer. Its sessions are strict (STRICT_TRANS_TABLES) unless the DSN sets sql_mode: without strict mode the
// server truncates values that do not fit. The driver inserts parameters into statements
// (interpolateParams), which saves a round trip for each.
func Open(dsn string, cfg *Config) (*Store, error) {
	c, err := driver.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("mysql: read DSN: %w", err) // the driver's error contains no password
	}
	if err := complete(c, dsn); err != nil {
		return nil, err
	}
	if cfg != nil && cfg.BeforeConnect != nil {
		if err := c.Apply(driver.BeforeConnect(cfg.BeforeConnect)); err != nil {
			return nil, fmt.Errorf("mysql: open: %w", err)
		}
	}
	connector, err := driver.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("mysql: open: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetConnMaxLifetime(3 * time.Minute) // shorter than the idle limits of servers and firewalls
	s, err := New(db, cfg)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.owned = true
	s.unhurried = c.Clone()
	s.unhurried.ReadTimeout = 0
	return s, nil
}

// complete checks the DSN and sets defaults.
func complete(c *driver.Config, dsn string) error {
	var errs []error
	if c.DBName == "" {
		errs = append(errs, errors.New("mysql: the DSN names no database (use user:password@tcp(host:port)/database)"))
	}
	_, query, _ := strings.Cut(dsn, "?")
	for p := range strings.SplitSeq(query, "&") {
		if set, ok := strings.CutPrefix(p, "charset="); ok && !strings.HasPrefix(set, "utf8mb4") {
			errs = append(errs, fmt.Errorf("mysql: the DSN's charset %q cannot represent every message (leave it out, or set utf8mb4)", set))
		}
	}
	if value := c.Params["autocommit"]; value != "" && value != "1" && !strings.EqualFold(value, "on") && !strings.EqualFold(value, "true") {
		errs = append(errs, fmt.Errorf("mysql: the DSN has autocommit=%s, with which a relay never sees new records (leave it out)", value))
	}
	if c.Params["sql_mode"] == "" {
		if c.Params == nil {
			c.Params = map[string]string{}
		}
		c.Params["sql_mode"] = "CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')"
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 90 * time.Second
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 90 * time.Second
	}
	c.InterpolateParams = true
	c.Logger = &driver.NopLogger{} // it logs errors that the calls also return
	return errors.Join(errs...)
}
