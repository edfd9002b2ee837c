package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// LoginConfig configures a Login. The zero value means the defaults
// named at each field.
type LoginConfig struct {
	// TokenField is the field of the token in the reply; dots lead into objects, as in
	// "data.token". Case and underscores are ignored. Default: access_token.
	TokenField string
	// RefreshURL is where a refresh token, if the reply has one, is exchanged for a
	// new token. If that fails, the credential is sent again. Default: refresh
	// tokens are not used.
	RefreshURL string
	// RefreshField is the name of the refresh token, in the reply and in the request
	// to RefreshURL. Default: refresh_token.
	RefreshField string
	// Scheme is the scheme of the Authorization header. Default: Bearer.
	Scheme string
	// Format encodes the credential as JSON. Default: CamelCase.
	Format RequestFormatter
}

// A Login is an oauth2.TokenSource that POSTs a credential as JSON and reads the
// token from the JSON reply. It takes the token's life from the first of expires_in (seconds),
// expires_at (RFC 3339 or Unix seconds) and the exp of a JWT.
// It does not cache the token; Auth does.
type Login struct {
	client *http.Client
	url    string
	cred   []byte
	cfg    LoginConfig
	// decorate adds the headers that a Client sends with every call.
	decorate func(context.Context, http.Header)

	mu      sync.Mutex
	refresh string // guarded by mu: the newest refresh token
}

// NewLogin returns a Login that sends credential, a struct or a map, to loginURL with
// client. Redirects are not followed: the credential is meant for that URL.
// cfg may be nil.
func NewLogin(client *http.Client, loginURL string, credential any, cfg *LoginConfig) (*Login, error) {
	if cfg == nil {
		cfg = &LoginConfig{}
	}
	l := &Login{url: loginURL, cfg: *cfg}
	l.cfg.TokenField, l.cfg.RefreshField = or(cfg.TokenField, "access_token"), or(cfg.RefreshField, "refresh_token")
	l.cfg.Scheme = or(cfg.Scheme, "Bearer")
	if l.cfg.Format == nil {
		l.cfg.Format = CamelCase
	}
	var errs []error
	if client == nil {
		errs = append(errs, errors.New("rest: NewLogin needs an http.Client"))
	} else {
		l.client = withoutRedirects(client)
	}
	if !wholeURL(loginURL) || cfg.RefreshURL != "" && !wholeURL(cfg.RefreshURL) {
		errs = append(errs, errors.New("rest: the login URL and RefreshURL must be absolute URLs, such as https://api.example.com/login"))
	}
	cred, err := l.cfg.Format(credential)
	if err != nil {
		errs = append(errs, fmt.Errorf("rest: encode credential: %w", err))
	}
	l.cred = cred
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return l, nil
}

func withoutRedirects(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

func wholeURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// Token logs in.
func (l *Login) Token() (*oauth2.Token, error) { return l.TokenContext(context.Background()) }

// TokenContext exchanges the refresh token if there is one and a RefreshURL is set.
// Otherwise, or if that fails, it sends the credential. A refused
// credential is a *ResponseError, a reply without a token a *DecodeError. Neither contains any part
// of the reply: it may hold the credential or a token.
func (l *Login) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	if old := l.refreshToken(); old != "" && l.cfg.RefreshURL != "" {
		body, err := l.cfg.Format(map[string]string{l.cfg.RefreshField: old})
		if err != nil {
			return nil, err
		}
		t, err := l.post(ctx, l.cfg.RefreshURL, body)
		if err == nil {
			l.keepRefresh(t.RefreshToken) // absent: the old one stays valid
			return t, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if errors.Is(err, ErrClient) {
			l.forgetRefresh(old) // refused permanently: do not try it at each login
		}
	}
	t, err := l.post(ctx, l.url, l.cred)
	if err != nil {
		return nil, err
	}
	l.keepRefresh(t.RefreshToken)
	return t, nil
}

func (l *Login) refreshToken() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refresh
}

func (l *Login) keepRefresh(token string) {
	if token == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refresh = token
}

func (l *Login) forgetRefresh(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refresh == token {
		l.refresh = ""
	}
}

// loginReplyBytes limits the reply to a login.
const loginReplyBytes = 1 << 20

func (l *Login) post(ctx context.Context, target string, body []byte) (*oauth2.Token, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, bareURLError(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if l.decorate != nil {
		l.decorate(ctx, req.Header)
	}
	shown := redactURL(req.URL)
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, &RequestError{Method: http.MethodPost, URL: shown, Err: bareURLError(err)}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refusedLogin(req.URL, resp)
	}
	defer discard(resp)
	reply, err := io.ReadAll(io.LimitReader(resp.Body, loginReplyBytes+1))
	if err == nil && len(reply) > loginReplyBytes {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, &RequestError{Method: http.MethodPost, URL: shown, Err: err}
	}
	t, err := l.parse(reply, time.Now())
	if err != nil {
		return nil, &DecodeError{Method: http.MethodPost, URL: shown, Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Err: err}
	}
	return t, nil
}

// parse reads a login reply. Its errors never quote the reply: it may hold a
// token under an unexpected name.
func (l *Login) parse(reply []byte, now time.Time) (*oauth2.Token, error) {
	snake, err := jsonkeys.Underscoreize(nil, reply, nil, jsonkeys.Limits{MaxBytes: loginReplyBytes})
	if err != nil {
		return nil, errors.New("the reply is not a JSON document")
	}
	access := stringAt(snake, l.cfg.TokenField)
	if access == "" {
		return nil, fmt.Errorf("the reply has no text at %q", l.cfg.TokenField)
	}
	t := &oauth2.Token{AccessToken: access, TokenType: l.cfg.Scheme, RefreshToken: stringAt(snake, l.cfg.RefreshField)}
	// In the same object as the token: with "data.token" it is data.expires_in.
	beside := ""
	if i := strings.LastIndexByte(l.cfg.TokenField, '.'); i >= 0 {
		beside = l.cfg.TokenField[:i+1]
	}
	t.Expiry = replyExpiry(snake, beside, now)
	if t.Expiry.IsZero() {
		t.Expiry = jwtExpiry(access, now)
	}
	return t, nil
}

func replyExpiry(reply []byte, prefix string, now time.Time) time.Time {
	if seconds, err := strconv.ParseFloat(textAt(reply, prefix+"expires_in"), 64); err == nil && seconds > 0 && seconds < 1e9 {
		return now.Add(time.Duration(seconds * float64(time.Second)))
	}
	at := textAt(reply, prefix+"expires_at")
	if t, err := time.Parse(time.RFC3339, strings.ToUpper(at)); err == nil {
		return t
	}
	if seconds, err := strconv.ParseInt(at, 10, 64); err == nil && seconds > 0 {
		return time.Unix(seconds, 0)
	}
	return time.Time{}
}

// rawAt follows a dotted path through objects with snake_case keys.
func rawAt(doc []byte, path string) json.RawMessage {
	for part := range strings.SplitSeq(path, ".") {
		var members map[string]json.RawMessage
		if json.Unmarshal(doc, &members) != nil {
			return nil
		}
		raw, ok := members[part]
		if !ok {
			raw = members[jsonkeys.UnderscoreizeKey(part, false)]
		}
		doc = raw
	}
	return doc
}

func stringAt(doc []byte, path string) string {
	var s string
	if json.Unmarshal(rawAt(doc, path), &s) != nil {
		return ""
	}
	return s
}

// textAt also accepts a number.
func textAt(doc []byte, path string) string {
	if s := stringAt(doc, path); s != "" {
		return s
	}
	return string(rawAt(doc, path))
}

// ClientCredentials returns a token source for the OAuth2 client credentials grant
// (RFC 6749 section 4.4). Unlike cfg.TokenSource it does not cache: Auth does,
// and after a 401 a cached token would be useless. client may be nil for the
// default transport. AuthConfig.Timeout limits each call, and
// redirects are not followed, because the secret is meant for cfg.TokenURL.
func ClientCredentials(cfg *clientcredentials.Config, client *http.Client) oauth2.TokenSource {
	if client == nil {
		client = &http.Client{}
	}
	return &credentialSource{cfg: cfg, client: withoutRedirects(client)}
}

type credentialSource struct {
	cfg    *clientcredentials.Config
	client *http.Client
}

func (s *credentialSource) Token() (*oauth2.Token, error) {
	return s.TokenContext(context.Background())
}

func (s *credentialSource) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, s.client)
	t, err := s.cfg.Token(ctx)
	if err != nil {
		return nil, withoutReply(bareURLError(err), s.cfg.TokenURL)
	}
	return t, nil
}
