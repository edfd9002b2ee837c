package rest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/parley-go/parley/rest"
)

// compareDifference compares a call with its record, or with the difference listed for it.
func compareDifference(t *testing.T, v vector, got any, err error, requests []seen) {
	t.Helper()
	switch wanted := differences[v.Case]; wanted {
	case "":
		compareOutcome(t, v, got, err)
		compareRequests(t, v, requests)
	case "ErrInvalid":
		if !errors.Is(err, rest.ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
	case "ErrDecode":
		if !errors.Is(err, rest.ErrDecode) {
			t.Errorf("%v, want ErrDecode", err)
		}
	case "ErrRedirect":
		if !errors.Is(err, rest.ErrRedirect) || len(requests) > 7 {
			t.Errorf("%v after %d requests, want ErrRedirect", err, len(requests))
		}
	case "LoginError", "ErrForbidden within a LoginError":
		if !errors.Is(err, rest.ErrLogin) || v.Case == "login_refused" && !errors.Is(err, rest.ErrForbidden) || len(requests) != 1 {
			t.Errorf("%v after %d requests, want ErrLogin after one", err, len(requests))
		}
	case "ErrUnauthorized": // one more login; it returned the same token, so there is no replay
		if !errors.Is(err, rest.ErrUnauthorized) || len(requests) != 3 {
			t.Errorf("%v after %d requests, want ErrUnauthorized after 3", err, len(requests))
		}
	case "ErrConnection": // net/http repeats a GET on a connection used before
		if !errors.Is(err, rest.ErrConnection) {
			t.Errorf("%v, want ErrConnection", err)
		}
	case "zero value":
		if err != nil || got != nil {
			t.Errorf("%v, %v, want nil", got, err)
		}
	case "read", "decoded body":
		if err != nil || !strings.HasPrefix(fmt.Sprint(got), "map[") {
			t.Errorf("%v, %v, want an object", got, err)
		}
	case "caller's header wins":
		if h := requests[len(requests)-1].header.Get("Accept-Language"); h != "xx" {
			t.Errorf("Accept-Language %q, want xx", h)
		}
	default: // a path
		if target := requests[len(requests)-1].target; target != wanted {
			t.Errorf("requested %s, want %s", target, wanted)
		}
	}
}

// sentinels translate the exceptions of the Python library.
var sentinels = map[string]error{
	"RestApiBadRequestError": rest.ErrBadRequest, "RestApiUnauthorizedError": rest.ErrUnauthorized, "RestApiForbiddenError": rest.ErrForbidden,
	"RestApiNotFountError": rest.ErrNotFound, "RestApiBadGatewayError": rest.ErrBadGateway, "RestApiGatewayTimeoutError": rest.ErrGatewayTimeout,
	"RestApiClientError": rest.ErrClient, "RestApiServerError": rest.ErrServer, "RestApiResponseWithError": rest.ErrResponse,
	"RestApiConnectionError": rest.ErrConnection, "RestApiTimeoutError": rest.ErrTimeout, "RestApiRequestError": rest.ErrRequest,
}

func compareOutcome(t *testing.T, v vector, got any, err error) {
	t.Helper()
	if v.Raises != nil {
		want, known := sentinels[v.Raises.Type]
		if !known || !errors.Is(err, want) {
			t.Errorf("%v, want what %s became", err, v.Raises.Type)
		}
		if e, ok := errors.AsType[*rest.ResponseError](err); ok && e.Status != v.Raises.Attributes.StatusCode {
			t.Errorf("status %d, want %d", e.Status, v.Raises.Attributes.StatusCode)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	switch got := got.(type) {
	case *rest.Response:
		var want struct {
			R struct {
				Status int `json:"status_code"`
				Text   string
			} `json:"$requests.Response"`
		}
		if err := json.Unmarshal(v.Returns, &want); err != nil {
			t.Fatal(err)
		}
		if got.Status != want.R.Status || string(got.Body) != want.R.Text {
			t.Errorf("%d %q, want %+v", got.Status, got.Body, want.R)
		}
	case []byte:
		sameJSON(t, "returned", fmt.Sprintf(`{"$bytes":"%x"}`, got), string(v.Returns))
	default:
		text, _ := json.Marshal(got)
		sameJSON(t, "returned", string(text), string(v.Returns))
	}
}

func compareRequests(t *testing.T, v vector, requests []seen) {
	t.Helper()
	for len(requests) > len(v.Requests) && requests[0].target == "/api/v1/login" {
		requests = requests[1:] // the recorded process had a token already
	}
	if len(requests) != len(v.Requests) {
		t.Fatalf("%d requests, want %d: %v", len(requests), len(v.Requests), requests)
	}
	for i, got := range requests {
		want := v.Requests[i]
		if got.method != want.Method || got.target != want.Target {
			t.Errorf("%s %s, want %s %s", got.method, got.target, want.Method, want.Target)
		}
		if g, w := got.header.Get("Accept-Language"), want.Headers["Accept-Language"]; g != w {
			t.Errorf("Accept-Language %q, want %q", g, w)
		}
		if g, w := got.header.Get("Authorization"), want.Headers["Authorization"]; strings.HasPrefix(w, "Bearer tok") != (g == "Bearer tok") || w == "Mine" && g != w {
			t.Errorf("Authorization %q, want %q", g, w)
		}
		compareBody(t, got, want.Headers["Content-Type"], want.Body)
	}
}

func compareBody(t *testing.T, got seen, contentType, body string) {
	t.Helper()
	kind, _, _ := mime.ParseMediaType(contentType)
	if g, _, _ := mime.ParseMediaType(got.header.Get("Content-Type")); g != kind {
		t.Errorf("Content-Type %q, want %q", g, kind)
	}
	switch kind {
	case "application/json":
		sameJSON(t, "body", got.body, body)
	case "multipart/form-data":
		if g, w := parts(t, got.header.Get("Content-Type"), got.body), parts(t, contentType, body); g != w {
			t.Errorf("parts %s, want %s", g, w)
		}
	default:
		if got.body != body {
			t.Errorf("body %q, want %q", got.body, body)
		}
	}
}

// parts returns name, file name and content of each part.
func parts(t *testing.T, contentType, body string) string {
	t.Helper()
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for r := multipart.NewReader(strings.NewReader(body), params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(p)
		all = append(all, fmt.Sprintf("%s/%s=%s", p.FormName(), p.FileName(), text))
	}
}
