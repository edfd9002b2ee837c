package console

import (
	"bufio"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Passwords are the accounts of a password file. A line is name:roles:hash; [PasswordLine] makes one. Empty lines and lines that start
// with # are skipped. Roles are reader, payloads, operator and editor, separated by commas; all has all of them.
//
// The role proxy is for an authenticating reverse proxy: its requests name their user in the header Parley-User, which is ignored on
// requests of other accounts.
type Passwords struct {
	accounts map[string]account
	key      []byte // of the digests in known
	now      func() time.Time

	hashing  sync.Mutex // one hash at a time: guessing passwords must not use all processors
	mu       sync.Mutex // guards the fields below
	known    map[[sha256.Size]byte]bool
	failures map[string]failure
}

type account struct {
	roles      Role
	iterations int
	salt, hash []byte
}

// failure counts the failed logins of one address.
type failure struct {
	since time.Time
	n     int
}

const (
	passwordScheme  = "pbkdf2-sha256"
	newIterations   = 600_000
	leastIterations = 10_000
	mostIterations  = 10_000_000
	maxKnown        = 1024
	maxAddresses    = 4096
	maxFailures     = 10 // of an address within failureWindow
	failureWindow   = time.Minute
)

// ReadPasswords reads a password file. It reports all mistakes, with their lines. A file without an account is a mistake.
func ReadPasswords(r io.Reader) (*Passwords, error) {
	p := &Passwords{accounts: map[string]account{}, key: make([]byte, 32), now: time.Now, known: map[[sha256.Size]byte]bool{}, failures: map[string]failure{}}
	rand.Read(p.key)
	var errs []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, a, err := parseAccount(line)
		if _, twice := p.accounts[name]; err == nil && twice {
			err = fmt.Errorf("account %q is there twice", name)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		p.accounts[name] = a
	}
	errs = append(errs, lines.Err())
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("console: read the password file: %w", err)
	}
	if len(p.accounts) == 0 {
		return nil, errors.New("console: the password file has no account (write a line with: parley console password NAME)")
	}
	return p, nil
}

func parseAccount(line string) (name string, a account, err error) {
	parts := strings.Split(line, ":")
	if len(parts) != 3 || parts[0] == "" {
		return "", a, errors.New("a line is name:roles:hash (write it with: parley console password NAME)")
	}
	if a.roles, err = ParseRoles(parts[1]); err != nil {
		return "", a, err
	}
	hash := strings.Split(parts[2], "$")
	if len(hash) != 4 || hash[0] != passwordScheme {
		return "", a, fmt.Errorf("account %q: the hash is not %s$iterations$salt$hash (write it with: parley console password NAME)", parts[0], passwordScheme)
	}
	a.iterations, err = strconv.Atoi(hash[1])
	if err != nil || a.iterations < leastIterations || a.iterations > mostIterations {
		return "", a, fmt.Errorf("account %q: %q is not a number of iterations from %d to %d", parts[0], hash[1], leastIterations, mostIterations)
	}
	var saltErr, hashErr error
	a.salt, saltErr = base64.RawStdEncoding.DecodeString(hash[2])
	a.hash, hashErr = base64.RawStdEncoding.DecodeString(hash[3])
	if saltErr != nil || hashErr != nil || len(a.salt) < 8 || len(a.hash) != sha256.Size {
		return "", a, fmt.Errorf("account %q: salt or hash are damaged (write the line anew with: parley console password NAME)", parts[0])
	}
	return parts[0], a, nil
}

// ParseRoles returns the roles of a text such as "reader,operator". all means RoleAll; proxy is allowed too.
func ParseRoles(text string) (out Role, err error) {
next:
	for name := range strings.SplitSeq(text, ",") {
		switch name = strings.TrimSpace(name); name {
		case "all":
			out |= RoleAll
			continue
		case "proxy":
			out |= roleProxy
			continue
		}
		for _, n := range roleNames {
			if n.name == name {
				out |= n.role
				continue next
			}
		}
		return 0, fmt.Errorf("unknown role %q (use reader, payloads, operator, editor, proxy or all)", name)
	}
	return out, nil
}

// PasswordLine returns a line of a password file. It returns an error for a name with a colon or control characters, for an unknown
// role, and for a password of fewer than 12 bytes.
func PasswordLine(name, roles, password string) (string, error) {
	return passwordLine(name, roles, password, newIterations)
}

func passwordLine(name, roles, password string, iterations int) (string, error) {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r == ':' || r == '#' || unsafeRune(r) }) || strings.TrimSpace(name) != name {
		return "", fmt.Errorf("console: %q is not a name: it must not be empty, nor have colons, # or control characters", name)
	}
	if _, err := ParseRoles(roles); err != nil {
		return "", fmt.Errorf("console: %w", err)
	}
	if len(password) < 12 {
		return "", errors.New("console: the password has fewer than 12 bytes")
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	hash, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("console: hash the password: %w", err)
	}
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%s:%s:%s$%d$%s$%s", name, roles, passwordScheme, iterations, enc(salt), enc(hash)), nil
}

// Authorize returns the user of a request with basic authentication; use it as Options.Authorize. It returns ErrUnauthenticated, or
// ErrTooManyFailures after 10 failed logins of an address within a minute.
func (p *Passwords) Authorize(r *http.Request) (User, error) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return User{}, ErrUnauthenticated
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	a, exists := p.accounts[name]
	if err := p.verify(name, password, address, a, exists); err != nil {
		return User{}, err
	}
	u := User{Name: name, Roles: a.roles &^ roleProxy}
	if a.roles&roleProxy != 0 {
		person := r.Header.Get("Parley-User")
		if person == "" || len(person) > 200 {
			return User{}, fmt.Errorf("account %q is that of a proxy, but the request has no header Parley-User", name)
		}
		u.Name = printable(person)
	}
	return u, nil
}

// verify compares a password with its hash. It remembers passwords that were right, because each hash takes a tenth of a second.
func (p *Passwords) verify(name, password, address string, a account, exists bool) error {
	mac := hmac.New(sha256.New, p.key)
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, password)
	digest := [sha256.Size]byte(mac.Sum(nil))
	p.mu.Lock()
	known, blocked := p.known[digest], p.blocked(address)
	p.mu.Unlock()
	switch {
	case known:
		return nil
	case blocked:
		return ErrTooManyFailures
	}
	if !exists { // takes as long as a wrong password
		a = account{iterations: newIterations, salt: p.key[:16], hash: make([]byte, sha256.Size)}
	}
	p.hashing.Lock()
	defer p.hashing.Unlock()
	p.mu.Lock()
	blocked = p.blocked(address) // by requests that were hashed meanwhile
	p.mu.Unlock()
	if blocked {
		return ErrTooManyFailures
	}
	got, err := pbkdf2.Key(sha256.New, password, a.salt, a.iterations, sha256.Size)
	right := err == nil && subtle.ConstantTimeCompare(got, a.hash) == 1 && exists
	p.mu.Lock()
	defer p.mu.Unlock()
	if !right {
		p.failed(address)
		return ErrUnauthenticated
	}
	if len(p.known) >= maxKnown {
		clear(p.known)
	}
	p.known[digest] = true
	return nil
}

// blocked reports whether too many logins of an address have failed. p.mu is held.
func (p *Passwords) blocked(address string) bool {
	f := p.failures[address]
	return f.n >= maxFailures && p.now().Sub(f.since) < failureWindow
}

// failed counts a failed login. p.mu is held.
func (p *Passwords) failed(address string) {
	if len(p.failures) >= maxAddresses {
		clear(p.failures)
	}
	f := p.failures[address]
	if p.now().Sub(f.since) >= failureWindow {
		f = failure{since: p.now()}
	}
	f.n++
	p.failures[address] = f
}
