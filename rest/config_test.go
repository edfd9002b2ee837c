package rest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := rest.New(rest.Config{
		Host: "nowhere", AuthURL: "login", Timeout: -1, MaxBytes: -1, UserAgent: "a\nb", ExtraHosts: []string{"ftp://u:hidden@x"},
		Header: http.Header{"Bad Name": {"x"}}, Retry: rest.RetryConfig{BaseDelay: -1}, CorrelationHeader: "Host",
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Config.Host", "Timeout", "MaxBytes", "UserAgent", "ExtraHosts", `"Bad Name"`, "BaseDelay", "CorrelationHeader"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("the error contains a password: %v", err)
	}
	for _, cfg := range []rest.Config{
		{AuthURL: "login"}, {Username: "u"}, {Credential: 1}, {AuthURL: "l", Credential: 1, Username: "u"}, {AuthURL: "@l", Username: "u"},
		{AuthURL: "l", Username: "u", TokenSource: rest.ClientCredentials(nil, nil)}, {AuthURL: "l", Credential: nan()},
		{AuthURL: "l", Username: "u", Auth: rest.AuthConfig{RefreshAt: 2, MinBackoff: -1}}, {Breaker: rest.BreakerConfig{Ratio: 1.5}},
		{Connections: rest.TransportConfig{DialTimeout: -1}}, {TrustedHosts: []string{"x"}},
	} {
		cfg.Host = "http://h"
		if _, err := rest.New(cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
		}
	}
}

func TestAConfigInALogShowsNoPassword(t *testing.T) {
	cfg := rest.Config{Host: "http://user:hidden@h", Username: "u", Password: "hidden"}
	for _, text := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg)} {
		if strings.Contains(text, "hidden") {
			t.Errorf("the text contains the password: %s", text)
		}
	}
}
