package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets a page load the console's own style, script and data, and nothing else. No page has inline style or script.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

type userKey struct{}

// guard answers requests that must not reach a page. Everything is below it, static files too, so no path can be exempt by mistake.
func (c *Console) guard(cross *http.CrossOriginProtection, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		req := &request{c: c, w: w, r: r}
		user, err := c.userOf(r)
		if err == nil {
			err = checkOrigin(cross, r)
		}
		if err != nil {
			req.fail(err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}

// userOf returns the user of a request, or why the request is refused.
func (c *Console) userOf(r *http.Request) (User, error) {
	if c.opts.Authorize != nil {
		return c.opts.Authorize(r)
	}
	if err := checkLocal(r); err != nil {
		return User{}, err
	}
	return User{Name: "local", Roles: RoleAll}, nil
}

// checkLocal returns an error unless the request came to a loopback address, under a loopback name, and not through a proxy. The name is
// checked because a page of another site can point its own name to 127.0.0.1 (DNS rebinding).
func checkLocal(r *http.Request) error {
	const hint = "set console.password_file, or Options.Authorize"
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch a := addr.(type) {
	case *net.UnixAddr:
	case *net.TCPAddr:
		if !a.IP.IsLoopback() {
			return &problem{http.StatusForbidden, "The console has no authentication, so it answers only at a loopback address.", hint}
		}
	default:
		return &problem{http.StatusForbidden, "The console has no authentication, and cannot determine the address that this request came to.", hint}
	}
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via"} {
		if r.Header.Get(name) != "" {
			return &problem{http.StatusForbidden, "The console has no authentication, so it does not answer requests of a proxy.", hint}
		}
	}
	if !loopbackName(r.Host) {
		return &problem{http.StatusForbidden, fmt.Sprintf("The console has no authentication, so it does not answer to the name %q.", printable(r.Host)), "use 127.0.0.1 or localhost, or " + hint}
	}
	return nil
}

// loopbackName reports whether a Host header names the loopback interface.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// checkOrigin refuses unsafe requests of other sites. The live tail is a GET that uses the broker, so it is treated as unsafe too.
func checkOrigin(cross *http.CrossOriginProtection, r *http.Request) error {
	check := r
	if strings.HasSuffix(r.URL.Path, "/tail/events") {
		check = r.Clone(r.Context())
		check.Method = http.MethodPost
	}
	if err := cross.Check(check); err != nil {
		return &problem{http.StatusForbidden, "This request came from another site, or the browser did not say where it came from.",
			"open the console under https or at a loopback address; behind a proxy, keep the Host header"}
	}
	return nil
}

// CheckAddress returns an error if a console without authentication must not listen at address: anything but a loopback address.
func CheckAddress(address string, authenticated bool) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return fmt.Errorf("console: %q is not an address such as 127.0.0.1:8080", address)
	}
	if authenticated || loopbackName(host) {
		return nil
	}
	return fmt.Errorf("console: %s is not a loopback address, and there is no authentication (use 127.0.0.1, or set console.password_file)", address)
}

// A problem is an error with an HTTP status, for the page of errors.
type problem struct {
	status     int
	text, hint string
}

func (p *problem) Error() string { return p.text }

var (
	errReadOnly = &problem{http.StatusForbidden, "The console is read-only.", "set console.write to true, or use the commands"}
	errNotFound = &problem{http.StatusNotFound, "There is no such page.", ""}
	errChanged  = &problem{http.StatusConflict, "The messages have changed since the preview. Nothing was done.", "go back and look at a new preview"}
)

// problemOf returns the problem that an error is.
func problemOf(err error) *problem {
	var p *problem
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLarge):
		return &problem{http.StatusRequestEntityTooLarge, "The request is too large.", "use the commands"}
	case errors.Is(err, ErrUnauthenticated):
		return &problem{http.StatusUnauthorized, "Name and password are required.", ""}
	case errors.Is(err, ErrTooManyFailures):
		return &problem{http.StatusTooManyRequests, "Too many logins from this address have failed.", "wait a minute"}
	}
	return nil
}
