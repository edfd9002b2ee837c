package rest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parley-go/parley/rest"
)

func TestHostileHostsAreRefused(t *testing.T) {
	for _, host := range []string{
		"", "h", "ftp://h", "http://", "http://user:pw@h", "http://h?x", "http://h#x", "http://h/a//b", "http://h/..", "http://h\r\n", `http://h\evil`, "http://h x",
		"http://@evil", "//h", "file:///etc/passwd", "http://h:99999999999x",
	} {
		if c, err := rest.New(rest.Config{Host: host}); err == nil {
			t.Errorf("host %q is accepted", host)
			_ = c.Close()
		} else if strings.Contains(err.Error(), "pw") {
			t.Errorf("the error contains the password: %v", err)
		}
		if host == "" {
			continue
		}
		if _, err := requested("http://h", "x", rest.Host(host)); !errors.Is(err, rest.ErrInvalid) {
			t.Errorf("option Host(%q): %v, want ErrInvalid", host, err)
		}
	}
	if _, err := requested("http://h", "x", rest.Host("http://h:8080")); !errors.Is(err, rest.ErrInvalid) {
		t.Errorf("a host outside the list: %v, want ErrInvalid", err)
	}
}
