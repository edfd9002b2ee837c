package rest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/rest"
)

// A vector is one recorded call of the Python helpers.
type vector struct {
	Case, Function, URI string
	Kwargs              struct {
		Params, JSON, Data json.RawMessage
		Files              json.RawMessage
		Headers            map[string]string
		NoAuth             bool    `json:"no_auth"`
		ExtraHost          *string `json:"extra_host"`
		Timeout            float64
		ResponseFormatter  json.RawMessage `json:"response_formatter"`
		RequestFormatter   json.RawMessage `json:"request_formatter"`
	}
	ServerReplies struct {
		Status  int
		Body    string
		Headers map[string]string
		Delay   float64
		Close   bool
	} `json:"server_replies"`
	Requests []struct {
		Method, Target, Body string
		Headers              map[string]string
	}
	Returns json.RawMessage
	Raises  *struct {
		Type       string
		Attributes struct {
			StatusCode int `json:"status_code"`
		}
	}
}

// differences are the vectors for which parley intentionally behaves differently,
// with what it does instead. DIFFERENCES.md names each of them.
var differences = map[string]string{
	"login_no_token":                     "LoginError",
	"login_after_bad_login":              "LoginError",
	"login_empty_reply":                  "LoginError",
	"login_token_null":                   "LoginError",
	"login_not_json":                     "LoginError",
	"login_cached":                       "skip: covered by login_first_call, one client for both",
	"login_after_401":                    "skip: TestA401LogsInOnceMoreAndReplaysOnce",
	"no_auth_url_setting":                "skip: New refuses it, TestNewNamesEveryMistake",
	"header_accept_language_overwritten": "caller's header wins",
	"url_leading_slash":                  "/api/v1",
	"url_extra_host_trailing_slash":      "/x/y",
	"url_absolute":                       "ErrInvalid",
	"params_nested":                      "ErrInvalid",
	"params_tuples":                      "skip: url.Values, TestQueryValuesGoAsTheyAre",
	"put_missing":                        "skip: 2.4.1 had no put",
	"delete_json":                        "decoded body",
	"delete_no_body":                     "decoded body",
	"post_json_decimal":                  "skip: no Go value for it",
	"post_json_datetime":                 "skip: TestTimesAndNumbersTravelInBodies",
	"post_data_bytes":                    "skip: rest.Raw, TestBodiesOfEveryKind",
	"get_unknown_kwarg":                  "skip: the compiler refuses it",
	"response_204_post":                  "zero value",
	"response_html_200":                  "ErrDecode",
	"response_utf8_bom":                  "read",
	"response_latin1":                    "skip: the record replaced the byte; TestInvalidUTF8IsAnError",
	"response_nan":                       "ErrDecode",
	"head_response_formatter_refused":    "skip: Head has no formatter",
	"redirect_302_post_becomes_get":      "ErrRedirect",
	"redirect_307_post":                  "ErrRedirect",
	"redirect_loop":                      "ErrRedirect",
	"custom_response_formatter":          "skip: TestFormattersAreReplaceablePerClientAndPerCall",
	"silent_ok":                          "skip: if err != nil",
	"silent_error":                       "skip: if err != nil",
	"login_refused":                      "ErrForbidden within a LoginError",
	"status_401":                         "ErrUnauthorized",
	"connection_closed":                  "ErrConnection",
}

func loadVectors(t *testing.T, version string) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/rest-" + version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

func TestCallsDoWhatThePythonHelpersDidOrWhatDIFFERENCESSays(t *testing.T) {
	for _, version := range []string{"2.4.1", "2.6.8"} {
		for _, v := range loadVectors(t, version) {
			t.Run(version+"/"+v.Case, func(t *testing.T) {
				if strings.HasPrefix(differences[v.Case], "skip: ") {
					return
				}
				replay(t, v)
			})
		}
	}
}

func TestEveryDifferenceIsNamedInDIFFERENCES(t *testing.T) {
	text, err := os.ReadFile("DIFFERENCES.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range differences {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("DIFFERENCES.md does not name the vector %s", name)
		}
	}
}

func replay(t *testing.T, v vector) {
	var rec recorder
	replied := false
	s := serve(t, rec.wrap(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/v1/login":
			replyLogin(w, v.Case)
		case v.ServerReplies.Close:
			reset(t, w, "")
		case replied && v.ServerReplies.Status == 302 && v.ServerReplies.Headers["Location"] != "/x":
			answer(w, 200, `{"fooBar": 1}`)
		case v.ServerReplies.Delay > 0:
			<-r.Context().Done()
		default:
			replied = true
			for name, value := range v.ServerReplies.Headers {
				w.Header().Set(name, value)
			}
			w.WriteHeader(v.ServerReplies.Status)
			_, _ = io.WriteString(w, v.ServerReplies.Body)
		}
	}))
	cfg := rest.Config{
		Host: s.URL, AuthURL: "api/v1/login", Retry: rest.RetryConfig{MaxRetries: -1}, ExtraHosts: []string{"http://127.0.0.1:1"},
		Credential: json.RawMessage(`{"login": "sarvar", "pass_word": "s3cret", "nestedField": {"a_b": 1}}`),
	}
	if v.Case == "no_credential_setting_no_auth" {
		cfg.AuthURL, cfg.Credential = "", nil
	}
	got, err := callVector(v, client(t, cfg), s.URL)
	requests := rec.take()
	compareDifference(t, v, got, err, requests)
}

func replyLogin(w http.ResponseWriter, name string) {
	switch name {
	case "login_snake_token":
		answer(w, 200, `{"access_token": "tok"}`)
	case "login_refused":
		answer(w, 403, `{"detail": "no"}`)
	case "login_no_token", "login_after_bad_login":
		answer(w, 200, `{"token": "tok"}`)
	case "login_empty_reply":
		answer(w, 200, `{}`)
	case "login_token_null":
		answer(w, 200, `{"accessToken": null}`)
	case "login_not_json":
		answer(w, 200, `<html>`)
	default:
		answer(w, 200, `{"accessToken": "tok"}`)
	}
}

// callVector makes the call as a user of parley would write it.
func callVector(v vector, c *rest.Client, self string) (any, error) {
	k := v.Kwargs
	ctx := rest.WithLanguage(context.Background(), "en-us")
	if lang, ok := strings.CutPrefix(v.Case, "language_"); ok {
		ctx = rest.WithLanguage(context.Background(), strings.TrimPrefix(lang, "deactivated"))
	}
	var opts []rest.Option
	if k.Params != nil {
		opts = append(opts, rest.Params(paramsOf(k.Params)))
	}
	for name, value := range k.Headers {
		opts = append(opts, rest.Header(name, value))
	}
	if k.NoAuth {
		opts = append(opts, rest.NoAuth())
	}
	if k.ExtraHost != nil {
		opts = append(opts, rest.Host(strings.Replace(*k.ExtraHost, "http://127.0.0.1:8899", self, 1)))
	}
	if k.Timeout > 0 {
		opts = append(opts, rest.Timeout(time.Duration(k.Timeout*float64(time.Second))))
	}
	if k.RequestFormatter != nil {
		opts = append(opts, rest.FormatRequest(rest.PlainRequest))
	}
	if body := bodyOf(v); body != nil {
		opts = append(opts, rest.JSON(body))
	}
	switch {
	case v.Function == "head":
		return rest.Head(ctx, c, v.URI, opts...)
	case v.Case == "full_response":
		return rest.Get[*rest.Response](ctx, c, v.URI, append(opts, rest.FormatResponse(rest.FullResponse))...)
	case v.Case == "file_response":
		return rest.Get[[]byte](ctx, c, v.URI, append(opts, rest.FormatResponse(rest.FileResponse))...)
	}
	return rest.Do[any](ctx, c, strings.ToUpper(v.Function), v.URI, opts...)
}

func paramsOf(raw json.RawMessage) any {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return raw
}

func bodyOf(v vector) any {
	k := v.Kwargs
	switch {
	case v.Case == "post_files_and_data":
		return rest.Multipart(k.Data, rest.File{Field: "my_file", Name: "n.txt", Data: []byte("hello")})
	case v.Case == "post_data_str":
		return rest.Raw("", []byte("a_b=1"))
	case v.Case == "post_json_nan":
		return map[string]any{"a": nan()}
	case k.Data != nil:
		return rest.Form(k.Data)
	case k.JSON != nil:
		return k.JSON
	}
	return nil
}
