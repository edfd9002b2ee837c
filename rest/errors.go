package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parley-go/parley/internal/jsonkeys"
)

// Errors for decisions with errors.Is. They form a tree: a missing
// resource matches ErrNotFound, ErrClient and ErrResponse.
var (
	// ErrRequest: there was no usable answer. It is the parent of the next six.
	ErrRequest = errors.New("request error")
	// ErrConnection: the connection could not be made, or ended before the answer.
	ErrConnection = errors.New("connection error")
	// ErrTimeout: a deadline passed: of the call, of the caller's context, or one of the transport's.
	ErrTimeout = errors.New("timeout")
	// ErrCircuitOpen: the breaker of the host is open, nothing was sent. See CircuitOpenError.
	ErrCircuitOpen = errors.New("circuit open")
	// ErrTooLarge: the answer is larger than the limit of the client or of the call.
	ErrTooLarge = errors.New("answer too large")
	// ErrInvalid: the call itself is wrong (path, header, body, a host that is not allowed); nothing was sent.
	ErrInvalid = errors.New("invalid request")
	// ErrLogin: no token is available; the chain also contains the cause. See LoginError.
	ErrLogin = errors.New("login error")

	// ErrDecode: the answer had a good status, but another body than requested.
	ErrDecode = errors.New("undecodable answer")

	// ErrResponse: the server answered with a status outside 200 to 299. It is the parent of all that follow.
	ErrResponse = errors.New("error response")
	// ErrRedirect: a 3xx answer that may not be followed; ResponseError.Location is its target.
	ErrRedirect = errors.New("redirect not followed")
	// ErrClient: any 4xx. It is the parent of ErrBadRequest to ErrTooManyRequests.
	ErrClient = errors.New("client error")
	// ErrServer: any 5xx. It is the parent of ErrBadGateway, ErrUnavailable and ErrGatewayTimeout.
	ErrServer = errors.New("server error")

	ErrBadRequest      = errors.New("bad request")          // 400
	ErrUnauthorized    = errors.New("unauthorized")         // 401
	ErrForbidden       = errors.New("forbidden")            // 403
	ErrNotFound        = errors.New("not found")            // 404
	ErrConflict        = errors.New("conflict")             // 409
	ErrUnprocessable   = errors.New("unprocessable entity") // 422
	ErrTooManyRequests = errors.New("too many requests")    // 429
	ErrBadGateway      = errors.New("bad gateway")          // 502
	ErrUnavailable     = errors.New("service unavailable")  // 503
	ErrGatewayTimeout  = errors.New("gateway timeout")      // 504
)

// statusErrors maps a status to its sentinel.
var statusErrors = map[int]error{
	http.StatusBadRequest:          ErrBadRequest,
	http.StatusUnauthorized:        ErrUnauthorized,
	http.StatusForbidden:           ErrForbidden,
	http.StatusNotFound:            ErrNotFound,
	http.StatusConflict:            ErrConflict,
	http.StatusUnprocessableEntity: ErrUnprocessable,
	http.StatusTooManyRequests:     ErrTooManyRequests,
	http.StatusBadGateway:          ErrBadGateway,
	http.StatusServiceUnavailable:  ErrUnavailable,
	http.StatusGatewayTimeout:      ErrGatewayTimeout,
}

// A RequestError is the error of a call that got no usable answer. It always matches ErrRequest. It may also match
// ErrConnection, ErrTimeout, ErrCircuitOpen, ErrTooLarge, ErrInvalid or ErrLogin,
// and its cause, such as context.Canceled.
type RequestError struct {
	// Method and URL name the call; the URL is without user and secret query values.
	Method, URL string
	// Err is the cause.
	Err error
}

func (e *RequestError) Error() string { return callName(e.Method, e.URL) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *RequestError) Unwrap() error { return e.Err }

// Is makes the error match ErrRequest, and ErrTimeout or ErrConnection.
func (e *RequestError) Is(target error) bool {
	switch target {
	case ErrRequest:
		return true
	case ErrTimeout:
		return isTimeout(e.Err)
	case ErrConnection:
		return !isTimeout(e.Err) && !e.isOurs() && !errors.Is(e.Err, context.Canceled)
	}
	return false
}

// isOurs reports whether the cause is not a connection error.
func (e *RequestError) isOurs() bool {
	return errors.Is(e.Err, ErrInvalid) || errors.Is(e.Err, ErrTooLarge) || errors.Is(e.Err, ErrCircuitOpen) || errors.Is(e.Err, ErrLogin)
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// A ResponseError is an answer with a status outside 200 to 299.
type ResponseError struct {
	// Method and URL name the call; the URL is without user and secret query values.
	Method, URL string
	// Status is the HTTP status code.
	Status int
	// Header is the answer's header.
	Header http.Header
	// Body is the start of the answer's body, at most 64 KiB; Truncated reports whether there was more. It is nil if the
	// answer shows the credential of its request, and for a refused login.
	Body      []byte
	Truncated bool
	// Problem is the body as problem details (RFC 9457), or nil for other bodies.
	Problem *Problem
	// Location is the target of a 3xx answer, resolved; it is never followed to another origin.
	Location string
	// RetryAfter is how long the server asks to wait, or 0 without a Retry-After.
	RetryAfter time.Duration
}

func (e *ResponseError) Error() string {
	var b strings.Builder
	b.WriteString(callName(e.Method, e.URL))
	b.WriteString(": ")
	b.WriteString(strconv.Itoa(e.Status))
	if text := http.StatusText(e.Status); text != "" {
		b.WriteByte(' ')
		b.WriteString(text)
	}
	switch {
	case e.Problem != nil && e.Problem.text() != "":
		b.WriteString(": ")
		b.WriteString(excerpt([]byte(e.Problem.text())))
	case len(e.Body) > 0:
		b.WriteString(": ")
		b.WriteString(excerpt(e.Body))
	}
	return b.String()
}

// Is makes the error match ErrResponse, the class of its status and the
// sentinel of its status.
func (e *ResponseError) Is(target error) bool {
	switch target {
	case ErrResponse:
		return true
	case ErrRedirect:
		return e.Status >= 300 && e.Status < 400 && e.Location != ""
	case ErrClient:
		return e.Status >= 400 && e.Status < 500
	case ErrServer:
		return e.Status >= 500 && e.Status < 600
	}
	own, ok := statusErrors[e.Status]
	return ok && own == target
}

// Decode reads the body as JSON into v. Keys are matched as in a good
// answer: any gets snake_case keys, struct fields match either case.
func (e *ResponseError) Decode(v any) error {
	text, err := utf8Text(e.Body, e.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	return decodeJSON(text, v, jsonkeys.Limits{LoneSurrogates: true})
}

// A DecodeError is an answer with a good status whose body is not as
// requested. errors.Is(err, ErrDecode) holds.
type DecodeError struct {
	// Method and URL name the call; the URL is without user and secret query values.
	Method, URL string
	// Status is the HTTP status code.
	Status int
	// ContentType is the answer's content type.
	ContentType string
	// Err is the cause.
	Err error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("%s: decode answer %d (content type %q): %v", callName(e.Method, e.URL), e.Status, e.ContentType, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// Is makes the error match ErrDecode.
func (e *DecodeError) Is(target error) bool { return target == ErrDecode }

// A LoginError is the error of a call for which no token is available. errors.Is matches
// ErrLogin and everything that the cause matches: a refused credential also matches ErrForbidden or
// ErrUnauthorized.
type LoginError struct {
	// Err is the cause.
	Err error
	// RetryAt is the time of the next login; until then every call gets this error.
	RetryAt time.Time
}

func (e *LoginError) Error() string {
	return "log in: " + strings.TrimPrefix(e.Err.Error(), "rest: ") // the error of the call has the prefix already
}

// Unwrap returns the cause.
func (e *LoginError) Unwrap() error { return e.Err }

// Is makes the error match ErrLogin.
func (e *LoginError) Is(target error) bool { return target == ErrLogin }

// errLarger is the base of errors that match ErrTooLarge and end in the limit.
var errLarger = &largerError{}

type largerError struct{}

func (*largerError) Error() string        { return "answer larger" }
func (*largerError) Is(target error) bool { return target == ErrTooLarge }

// invalid returns an error that matches ErrInvalid.
func invalid(format string, args ...any) error {
	return &invalidError{fmt.Errorf(format, args...)}
}

type invalidError struct{ err error }

func (e *invalidError) Error() string        { return e.err.Error() }
func (e *invalidError) Unwrap() error        { return e.err }
func (e *invalidError) Is(target error) bool { return target == ErrInvalid }

func callName(method, url string) string { return "rest: " + method + " " + strconv.Quote(url) }

// excerptBytes limits the part of a body in an error's text; the Python library logged
// whole error pages.
const excerptBytes = 512

// excerpt returns the start of a body on one line, safe for a log.
func excerpt(body []byte) string {
	cut := len(body) > excerptBytes
	if cut {
		body = body[:excerptBytes]
		for len(body) > 0 && !utf8.Valid(body[max(0, len(body)-utf8.UTFMax):]) && len(body) > excerptBytes-utf8.UTFMax {
			body = body[:len(body)-1]
		}
	}
	s := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(body))
	if cut {
		s += "…"
	}
	return strings.TrimSpace(s)
}
