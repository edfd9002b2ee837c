//go:build unix

package service

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// postgresWork adds up the processor time of the sessions of this database. It needs the server on this machine.
func postgresWork(t *testing.T, db *sql.DB) (time.Duration, bool) {
	t.Helper()
	return work(t, db, "SELECT pid FROM pg_stat_activity WHERE datname = current_database()", func(id int64) string { return fmt.Sprintf("/proc/%d/stat", id) }, "postgres")
}

// mariadbWork does the same with the threads of MariaDB.
func mariadbWork(t *testing.T, db *sql.DB) (time.Duration, bool) {
	t.Helper()
	return work(t, db, "SELECT tid FROM information_schema.processlist WHERE db = DATABASE()", func(id int64) string { return fmt.Sprintf("/proc/%d/task/%[1]d/stat", id) }, "ma")
}

// work adds up user and system time of the ids that a query returns; ok is false if this machine does not have them.
func work(t *testing.T, db *sql.DB, query string, file func(id int64) string, name string) (sum time.Duration, ok bool) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Log(err)
		return 0, false
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file(id))
		if err != nil {
			continue
		}
		_, rest, _ := bytes.Cut(text, []byte("("))
		program, rest, found := bytes.Cut(rest, []byte(") "))
		fields := bytes.Fields(rest)
		if !found || len(fields) < 13 || !bytes.HasPrefix(program, []byte(name)) {
			continue
		}
		for _, ticks := range fields[11:13] {
			n, err := strconv.ParseInt(string(ticks), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum, ok = sum+time.Duration(n)*10*time.Millisecond, true // a tick is 10 ms on Linux
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return sum, ok
}

// processorTime returns the processor time of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
