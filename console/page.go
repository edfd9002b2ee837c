package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/parley-go/parley"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// An asset is a static file in memory.
type asset struct {
	body            []byte
	version, format string
}

func (c *Console) loadAssets() {
	c.assets = map[string]asset{}
	for name, format := range map[string]string{"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"} {
		body, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(body)
		c.assets[name] = asset{body, base64.RawURLEncoding.EncodeToString(sum[:9]), format}
	}
}

func (c *Console) static(w http.ResponseWriter, r *http.Request) {
	a, ok := c.assets[r.PathValue("file")]
	if !ok {
		(&request{c: c, w: w, r: r}).fail(errNotFound)
		return
	}
	w.Header().Set("Content-Type", a.format)
	if r.URL.Query().Get("v") == a.version { // the URL changes with the content
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	_, _ = w.Write(a.body)
}

func (c *Console) loadPages() {
	c.pages = template.Must(template.New("").Funcs(template.FuncMap{
		"static": func(name string) string { return c.opts.Prefix + "/static/" + name + "?v=" + c.assets[name].version },
		"at":     c.at,
		"age":    age,
		"text":   printable,
		"path":   c.path,
		// Both parts are escaped already: url.PathEscape and url.Values.Encode leave nothing that could end the attribute.
		"query":   func(path, query string) template.URL { return template.URL(path + "?" + query) },
		"screens": func() []screen { return screens },
		"short":   func(s string) string { return cutText(s, 12) },
		"lines":   func(s string) []string { return strings.Split(s, "\n") },
		// The parked queue of a consumer is named after its queue.
		"unparked": func(name string) string { return strings.TrimSuffix(name, parley.ParkedQueue("")) },
		"level":    func(f parley.Finding) string { return fmt.Sprint(f.Level) },
		"markX":    func(i int) int { return i * chartWidth / 4 },
	}).ParseFS(templateFiles, "templates/*.html"))
}

// path returns the URL path of a page, with the prefix and with escaped parts: path "s" name "parked".
func (c *Console) path(parts ...string) string {
	var b strings.Builder
	b.WriteString(c.opts.Prefix)
	for _, part := range parts {
		b.WriteString("/" + url.PathEscape(part))
	}
	if len(parts) == 0 {
		b.WriteString("/")
	}
	return b.String()
}

// A screen is a page of one source.
type screen struct{ Name, Label string }

var screens = []screen{
	{"outbox", "Outbox"}, {"parked", "Parked"}, {"scheduled", "Scheduled"}, {"queues", "Queues & routes"}, {"tail", "Tail"}, {"settings", "Settings"}, {"doctor", "Doctor"},
}

// at returns a time with its zone, for a <time> element.
func (c *Console) at(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// age returns a duration in at most two units.
func age(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < time.Second:
		return max(time.Millisecond, d.Round(time.Millisecond)).String()
	case d < time.Hour:
		return strings.TrimSuffix(d.Round(time.Second).String(), "m0s") + map[bool]string{true: "m"}[d.Round(time.Second)%time.Minute == 0]
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// A request is one request with what its page needs.
type request struct {
	c    *Console
	w    http.ResponseWriter
	r    *http.Request
	src  *source // of pages below /s/<source>; else nil
	user User
}

// maxForm is the most bytes of a form. It has room for the largest body that can be edited, URL-encoded.
const maxForm = 1 << 20

// page returns the handler of a page for users with all roles of need.
func (c *Console) page(need Role, h func(*request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := r.Context().Value(userKey{}).(User)
		req := &request{c: c, w: w, r: r, user: user}
		if err := req.prepare(need); err != nil {
			req.fail(err)
			return
		}
		if err := h(req); err != nil {
			req.fail(err)
		}
	})
}

func (q *request) prepare(need Role) error {
	if !q.user.May(need) {
		return &problem{http.StatusForbidden, "Your account has no right to do this.", fmt.Sprintf("it needs the roles: %s", need)}
	}
	if name := q.r.PathValue("source"); name != "" {
		if q.src = q.c.byName[name]; q.src == nil {
			return &problem{http.StatusNotFound, fmt.Sprintf("There is no service %q.", printable(name)), ""}
		}
	}
	if q.r.Method == http.MethodPost {
		q.r.Body = http.MaxBytesReader(q.w, q.r.Body, maxForm)
	}
	if err := q.r.ParseForm(); err != nil {
		if p := problemOf(err); p != nil {
			return p
		}
		return &problem{http.StatusBadRequest, "The form cannot be read.", ""}
	}
	return nil
}

// get returns a value of the query or the form, without surrounding spaces.
func (q *request) get(name string) string { return strings.TrimSpace(q.r.Form.Get(name)) }

// self returns the path of a page of this source.
func (q *request) self(parts ...string) string {
	return q.c.path(append([]string{"s", q.src.Name}, parts...)...)
}

// A view is the data of the layout.
type view struct {
	Title   string
	Tab     string
	Sources []*source
	Source  *source
	User    User
	Write   bool
	Refresh int // seconds after which the script reads the page again; 0 means never
	Operate bool
	Edit    bool
	Bodies  bool
	Data    any
}

// show writes a page.
func (q *request) show(status int, name string, v view) error {
	v.Sources, v.Source, v.User, v.Write = q.c.sources, q.src, q.user, q.c.opts.Write
	v.Operate = v.Write && q.user.May(RoleOperator)
	v.Edit = v.Write && q.user.May(RoleEditor|RolePayloads)
	v.Bodies = q.user.May(RolePayloads)
	if status != http.StatusOK {
		v.Refresh = 0
	}
	var out bytes.Buffer
	if err := q.c.pages.ExecuteTemplate(&out, name, &v); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.w.WriteHeader(status)
	_, _ = q.w.Write(out.Bytes()) // the client may have disconnected
	return nil
}

// redirect leads to a page, after a form was handled.
func (q *request) redirect(to string) error {
	http.Redirect(q.w, q.r, to, http.StatusSeeOther)
	return nil
}

// fail writes the page of an error. An error of a server is shown: the reader of a console must know why it shows nothing.
func (q *request) fail(err error) {
	p := problemOf(err)
	if p == nil {
		if q.src != nil {
			err = q.src.redact(err)
		}
		p = &problem{http.StatusServiceUnavailable, "The servers did not answer as expected: " + printable(err.Error()), "the page Doctor examines them"}
		if q.src == nil {
			p = &problem{http.StatusForbidden, "The request was refused: " + printable(err.Error()), ""} // by Options.Authorize
		}
		q.c.opts.Logger.Warn("console: request failed", "method", q.r.Method, "path", path.Clean(q.r.URL.Path), "err", err)
	}
	if p.status == http.StatusUnauthorized {
		q.w.Header().Set("WWW-Authenticate", `Basic realm="parley console", charset="UTF-8"`)
	}
	if err := q.show(p.status, "problem.html", view{Title: "Error", Data: map[string]any{"Text": p.text, "Hint": p.hint}}); err != nil {
		http.Error(q.w, p.text, p.status)
	}
}
