//go:build unix

package service

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/parley-go/parley/console"
	"github.com/parley-go/parley/internal/sqlstore/sqlstoretest"
	"github.com/parley-go/parley/service/settings"
)

const (
	// pageTime is the longest time that a page may take.
	pageTime = 100 * time.Millisecond
	// overviewCost is the most processor time that an open overview may use in a second, in process and database together.
	overviewCost = 10 * time.Millisecond
	// refresh is the time between two requests of an open overview, and between two samples of the graphs.
	refresh = 10 * time.Second
)

// A costlyDatabase is a database with many rows.
type costlyDatabase struct {
	*Service
	db *sql.DB // for statements that no operation has
	// work returns the processor time that the server has used for the sessions of this database.
	work func(t *testing.T, db *sql.DB) (time.Duration, bool)
}

// openCostly opens a service with rows of each kind.
func openCostly(t *testing.T, name string, address settings.URL, rows int) *costlyDatabase {
	t.Helper()
	d := &costlyDatabase{Service: migrated(t, openURL(t, address))}
	pool, db := d.Service.db.pools()
	if d.db = db; pool != nil {
		var err error
		if d.db, err = sql.Open("pgx", string(address)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.db.Close() })
	}
	t.Cleanup(func() {
		d.db.SetMaxIdleConns(0) // closes them: SQLite may need a while for the last one of a large file
		if n := d.db.Stats().InUse; n > 0 {
			t.Errorf("%d connections are still in use", n)
		}
	})
	kind := map[string]string{"PostgreSQL": "postgres", "MariaDB": "mysql", "SQLite": "sqlite"}[name]
	d.work = map[string]func(*testing.T, *sql.DB) (time.Duration, bool){
		"postgres": postgresWork, "mysql": mariadbWork, "sqlite": func(*testing.T, *sql.DB) (time.Duration, bool) { return 0, true },
	}[kind]
	fill := sqlstoretest.Filler[*Tx]{DB: d.db, Kind: kind, Outbox: d.Service.db, Relay: d.Service.db, Failures: d.Service.db.Failures(), Log: d.Service.db, InTx: d.Service.db.inTx}
	fill.Fill(t, rows)
	return d
}

// pages returns a console of the service, whose status is not cached.
func (d *costlyDatabase) pages(t *testing.T) *console.Console {
	t.Helper()
	c, err := console.New([]console.Source{d.ConsoleSource("mail")}, console.Options{Authorize: func(*http.Request) (console.User, error) {
		return console.User{Name: "ada", Roles: console.RoleAll}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get requests a page, and returns its text and how long it took.
func get(t *testing.T, c *console.Console, path string) (string, time.Duration) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil)
	w := httptest.NewRecorder()
	start := time.Now()
	c.ServeHTTP(w, r)
	took := time.Since(start)
	if w.Code != http.StatusOK {
		t.Errorf("%s: status %d: %.500s", path, w.Code, w.Body)
	}
	return w.Body.String(), took
}

// costlyPages are the pages that read the database, with the filters that find much, little and nothing, and a text that each has.
var costlyPages = map[string]struct{ path, text string }{
	"overview":                  {"/", "10000 or more"},
	"outbox":                    {"/s/mail/outbox", "scheduled"},
	"parked deliveries":         {"/s/mail/parked", "the name is empty"},
	"a group":                   {"/s/mail/parked?place=c&group=" + sqlstoretest.ConsoleGroup(7), "retries used up"},
	"an absent exchange":        {"/s/mail/parked?place=c&exchange=absent", "Look at the next rows"},
	"an absent key of a group":  {"/s/mail/parked?place=c&routing_key=absent&group=" + sqlstoretest.ConsoleGroup(7), ""},
	"a reason that none has":    {"/s/mail/parked?place=c&reason=absent", ""},
	"a pattern":                 {"/s/mail/parked?place=c&consumer=mail&exchange=us*", "retries used up"},
	"retries":                   {"/s/mail/parked?place=c&state=waiting", ""},
	"parked records":            {"/s/mail/parked?place=o", "too large"},
	"records for a reason":      {"/s/mail/parked?place=o&reason=absent", ""},
	"one message":               {"/s/mail/parked/c7", "renamed"},
	"one record":                {"/s/mail/parked/o1", "too large"},
	"a message id":              {"/m/m-7", "c8"},
	"an absent message id":      {"/m/absent", ""},
	"scheduled":                 {"/s/mail/scheduled", "kind=photo"},
	"scheduled of a key":        {"/s/mail/scheduled?exchange=user&routing_key=renamed", "kind=photo"},
	"scheduled of no key":       {"/s/mail/scheduled?exchange=user&routing_key=absent", ""},
	"scheduled with a rare tag": {"/s/mail/scheduled?exchange=user&routing_key=renamed&tags=" + url.QueryEscape("kind=photo\nn=77"), "n=77"},
	"scheduled with a tag":      {"/s/mail/scheduled?exchange=user&routing_key=renamed&tags=kind%3Dphoto", "kind=photo"},
	"scheduled by tag only":     {"/s/mail/scheduled?tags=kind%3Dabsent", ""},
	"one scheduled record":      {"/s/mail/scheduled?record=2", "renamed"},
	"pauses":                    {"/s/mail/queues", ""},
	"actions":                   {"/actions", ""},
}

// The times are compared with their limits on large tables only, where a page that reads all rows takes seconds: the usual tests run beside
// each other, with the race detector.
func TestEachPageOfTheConsoleIsFastHoweverManyRowsThereAre(t *testing.T) {
	rows := sqlstoretest.ConsoleRows()
	timed := rows >= 1_000_000
	for name, address := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := openCostly(t, name, address, rows)
			report := ""
			for what, page := range costlyPages {
				best := time.Hour
				for i := 0; i == 0 || timed && (i < 5 || i < 30 && best > pageTime); i++ { // other work on the machine makes some of them slow
					text, took := get(t, d.pages(t), page.path)
					if best = min(best, took); !strings.Contains(text, page.text) {
						t.Errorf("%s: the page %s lacks %q:\n%.2000s", what, page.path, page.text, text[strings.Index(text, "<main"):])
						break
					}
				}
				report += fmt.Sprintf("%8s %s\n", best.Round(100*time.Microsecond), what)
				if most := time.Duration(float64(pageTime) * stretch()); timed && best > most {
					t.Errorf("%s: the page %s takes %v, want %v at most", what, page.path, best, most)
				}
			}
			t.Logf("with %d rows of each kind:\n%s", rows, report)
			if timed {
				d.overviewIsCheap(t)
			}
		})
	}
}

// stretch returns by how much other work on the machine stretches a piece of work: its time by its processor time, at least 1.
func stretch() float64 {
	start, used := time.Now(), processorTime()
	for processorTime()-used < 20*time.Millisecond {
		_ = sha256.Sum256(make([]byte, 1<<14))
	}
	return max(1, float64(time.Since(start))/float64(processorTime()-used))
}

// overviewIsCheap measures what one open overview costs: a page and a sample for the graphs every 10 s.
func (d *costlyDatabase) overviewIsCheap(t *testing.T) {
	t.Helper()
	const times = 50
	src := d.ConsoleSource("mail")
	pages := make([]*console.Console, times)
	for i := range pages {
		pages[i] = d.pages(t) // a new one has no cached status
	}
	server, known := d.work(t, d.db)
	process := processorTime()
	for _, c := range pages {
		get(t, c, "/")
		if _, err := src.Sample(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after, _ := d.work(t, d.db)
	process = processorTime() - process
	server = after - server
	perSecond := (process + server) / times * time.Second / refresh
	t.Logf("an open overview uses %v of processor time in a second: %v in the process, %v in the database for each of %d times", perSecond, process/times, server/times, times)
	if !known {
		t.Log("the processor time of the server is unknown: it is not on this machine")
	}
	if perSecond > overviewCost {
		t.Errorf("an open overview uses %v of processor time in a second, want %v at most", perSecond, overviewCost)
	}
}
