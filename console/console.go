package console

import (
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Options configure a console. Every field has a useful zero value.
type Options struct {
	// Prefix is the path below which the console is mounted, such as "/parley". It starts with a slash and does not end with one.
	// Default: "", the root. The mux passes the full path; do not strip the prefix.
	Prefix string
	// Write allows changes: replay, edit, drop, cancel, move, pause and resume. Default: read-only.
	Write bool
	// Authorize returns the user of a request. An error that wraps [ErrUnauthenticated] is answered with 401 and asks the browser for a
	// name and a password; any other error with 403. Authorize must be safe for concurrent use. [Passwords.Authorize] is one.
	// Default: no users; then only requests to a loopback address under a loopback name are answered.
	Authorize func(r *http.Request) (User, error)
	// TrustedOrigins are origins, such as "https://admin.example.com", whose pages may post forms to the console. A reverse proxy that
	// keeps the Host header needs none.
	TrustedOrigins []string
	// Logger receives one record for each change that a user confirms. Default: slog.Default().
	Logger *slog.Logger
}

// A Console is the handler of all pages. Create it with [New]; run [Console.Run] beside it to fill the graphs.
type Console struct {
	opts    Options
	sources []*source
	byName  map[string]*source
	pages   *template.Template
	assets  map[string]asset
	handler http.Handler
	actions actionRing
	tails   chan struct{} // one slot for each live tail
	now     func() time.Time
}

// maxSources is the most services on one page.
const maxSources = 50

var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// New returns a console of the sources. It opens no connection. It reports all mistakes in sources and options at once.
func New(sources []Source, o Options) (*Console, error) {
	var errs []error
	if o.Prefix != "" && (!strings.HasPrefix(o.Prefix, "/") || strings.HasSuffix(o.Prefix, "/") || strings.ContainsAny(o.Prefix, "{}?#% ")) {
		errs = append(errs, fmt.Errorf("Options.Prefix %q must start with a slash, not end with one, and be a plain path", o.Prefix))
	}
	if len(sources) == 0 || len(sources) > maxSources {
		errs = append(errs, fmt.Errorf("%d sources: give 1 to %d", len(sources), maxSources))
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Console{opts: o, byName: map[string]*source{}, tails: make(chan struct{}, maxTails), now: time.Now}
	for i := range sources {
		s := &source{Source: sources[i]}
		if s.Command == "" {
			s.Command = "parley"
		}
		switch {
		case !sourceName.MatchString(s.Name):
			errs = append(errs, fmt.Errorf("source name %q must be 1 to 64 letters, digits, dots, dashes or underscores", s.Name))
		case c.byName[s.Name] != nil:
			errs = append(errs, fmt.Errorf("two sources have the name %q", s.Name))
		}
		c.sources, c.byName[s.Name] = append(c.sources, s), s
	}
	cross := http.NewCrossOriginProtection()
	for _, origin := range o.TrustedOrigins {
		if err := cross.AddTrustedOrigin(origin); err != nil {
			errs = append(errs, fmt.Errorf("Options.TrustedOrigins: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c.loadAssets()
	c.loadPages()
	c.handler = c.guard(cross, c.mux())
	return c, nil
}

// ServeHTTP answers a request. It sets the security headers on every answer.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// mux routes the paths below the prefix. Pages are below /s/<source>/.
func (c *Console) mux() http.Handler {
	m := http.NewServeMux()
	page := func(pattern string, need Role, h func(*request) error) {
		method, path, _ := strings.Cut(pattern, " ")
		m.Handle(method+" "+c.opts.Prefix+path, c.page(need, h))
	}
	page("GET /{$}", RoleReader, c.overview)
	page("GET /m/{id}", RoleReader, c.find)
	page("GET /m", RoleReader, c.find)
	page("GET /actions", RoleReader, c.actionLog)
	page("GET /s/{source}/outbox", RoleReader, c.outbox)
	page("GET /s/{source}/parked", RoleReader, c.parkedList)
	page("GET /s/{source}/parked/{id}", RoleReader, c.parkedMessage)
	page("GET /s/{source}/parked/{id}/body", RolePayloads, c.download)
	page("GET /s/{source}/parked/{id}/edit", RoleEditor|RolePayloads, c.editForm)
	page("GET /s/{source}/scheduled", RoleReader, c.scheduled)
	page("GET /s/{source}/queues", RoleReader, c.queues)
	page("GET /s/{source}/tail", RoleReader, c.tail)
	page("GET /s/{source}/tail/events", RoleReader, c.tailEvents)
	page("GET /s/{source}/settings", RoleReader, c.settings)
	page("GET /s/{source}/doctor", RoleReader, c.doctor)
	// The requests below may use a server, but change no message.
	page("POST /s/{source}/doctor", RoleReader, c.runDoctor)
	page("POST /s/{source}/tail", RoleReader, c.tailOnce)
	// The requests below change something, or prepare it.
	write := func(pattern string, need Role, h func(*request) error) {
		page(pattern, need, func(r *request) error {
			if !c.opts.Write {
				return errReadOnly
			}
			return h(r)
		})
	}
	write("POST /s/{source}/parked/look", RoleOperator, c.lookQueue)
	write("POST /s/{source}/parked/preview", RoleOperator, c.previewParked)
	write("POST /s/{source}/parked/confirm", RoleOperator, c.confirmParked)
	write("POST /s/{source}/parked/{id}/edit/preview", RoleEditor|RolePayloads, c.previewEdit)
	write("POST /s/{source}/parked/{id}/edit/confirm", RoleEditor|RolePayloads, c.confirmEdit)
	write("POST /s/{source}/scheduled/preview", RoleOperator, c.previewScheduled)
	write("POST /s/{source}/scheduled/confirm", RoleOperator, c.confirmScheduled)
	write("POST /s/{source}/control/preview", RoleOperator, c.previewPause)
	write("POST /s/{source}/control/confirm", RoleOperator, c.confirmPause)
	m.HandleFunc("GET "+c.opts.Prefix+"/static/{file}", c.static)
	if c.opts.Prefix != "" {
		m.Handle("GET "+c.opts.Prefix, http.RedirectHandler(c.opts.Prefix+"/", http.StatusSeeOther))
	}
	m.Handle("/", c.page(RoleReader, func(*request) error { return errNotFound }))
	return m
}
