package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/parley-go/parley/internal/sqlstore"
)

// cacheSize lets a connection keep 16 MiB of pages, in place of SQLite's 2 MB: with a million rows the trees of the indexes do not
// fit into less. Pages are allocated as they are read.
const cacheSize = "cache_size(-16384)"

// Open opens the file at path, or creates it, and returns a store that owns its *sql.DB.
// It uses WAL, synchronous=FULL (commits survive a power failure), foreign keys, a
// busy timeout, a page cache of at most 16 MiB for each connection, and immediate transactions; see also Config.ReadOnly. path is a plain file name; ":memory:" is refused.
func Open(path string, cfg *Config) (*Store, error) {
	var c Config
	if cfg != nil {
		c = *cfg
	}
	if err := errors.Join(c.complete(), checkPath(path)); err != nil {
		return nil, err
	}
	name := dsn(path, c.BusyTimeout, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", cacheSize)
	if c.ReadOnly {
		mode, err := readOnlyMode(path)
		if err != nil {
			return nil, fmt.Errorf("sqlite: open %q: %w", path, err)
		}
		name = dsn(path, c.BusyTimeout, cacheSize) + mode
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %q: %w", path, err)
	}
	s, err := openOn(db, c)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %q: %w", path, err), db.Close())
	}
	return s, nil
}

func openOn(db *sql.DB, c Config) (*Store, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.BusyTimeout+10*time.Second)
	defer cancel()
	// If two processes open a new file, both switch it to WAL, and one of them finds it locked.
	if err := sqlstore.Retry(ctx, transient, func() error { return db.PingContext(ctx) }); err != nil {
		return nil, err
	}
	s, err := newStore(db, &c)
	if err != nil {
		return nil, err
	}
	s.owned = true
	return s, nil
}

// readOnlyMode returns the parameters with which a file is only read. A reader of a WAL file that no other process has open would leave two
// files beside it, and could not open it in a read-only folder; such a file is read as immutable.
func readOnlyMode(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	header := make([]byte, 20)
	_, err = io.ReadFull(f, header)
	wal := err == nil && header[18] == 2 // "file format write version" of SQLite's file format
	if _, err := os.Stat(path + "-wal"); wal && errors.Is(err, fs.ErrNotExist) {
		return "&mode=ro&immutable=1", nil
	}
	return "&mode=ro", nil
}

func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("sqlite: path must not be empty (SQLite would use a temporary file for each connection)")
	case strings.HasPrefix(path, ":memory:"):
		return errInMemory
	case strings.HasPrefix(path, "file:"):
		return fmt.Errorf("sqlite: path %q is a URI (use the plain file name, or open it with sql.Open and use New)", path)
	}
	return nil
}

// dsn returns the driver's name for path. Characters with a meaning in URIs are escaped.
func dsn(path string, busy time.Duration, pragmas ...string) string {
	u := url.URL{Path: path}
	timeout := fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{timeout}, pragmas...)}
	return "file:" + u.EscapedPath() + "?" + q.Encode()
}
