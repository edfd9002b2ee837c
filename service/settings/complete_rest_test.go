package settings

import (
	"fmt"
	"strings"
	"testing"
)

func TestURLsOfTheRESTClientHaveNoUser(t *testing.T) {
	for doc, want := range map[string]string{
		"host: 'https://u:s3cret-9@h'":                             "rest.host: contains a user",
		"host: 'https://h?key=s3cret-9'":                           "rest.host: has a query or a fragment",
		"host: 'https://h#s3cret-9'":                               "rest.host: has a query or a fragment",
		"host: 'u:s3cret-9@h'":                                     "rest.host: is not an http or https URL",
		"host: 'https://h/base/'":                                  "",
		"auth_url: 'https://u:s3cret-9@h/login'":                   "rest.auth_url: contains a user",
		"auth_url: '//u:s3cret-9@h/login'":                         "rest.auth_url: contains a user",
		"auth_url: 'u:s3cret-9@h/login'":                           "rest.auth_url: is neither a path nor an http or https URL",
		"auth_url: 'ftp://h/login'":                                "rest.auth_url: is neither a path nor an http or https URL",
		"refresh_url: 'https://s3cret-9@h/refresh'":                "rest.refresh_url: contains a user",
		"auth_url: 'v1/users:login?x=1', refresh_url: 'token:new'": "",
		"auth_url: 'https://h/login'":                              "",
	} {
		_, err := load(t, "rest: {"+doc+"}")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", doc, err, want)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret-9") {
			t.Errorf("%s: the error shows a secret: %v", doc, err)
		}
	}
}
