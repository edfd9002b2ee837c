package settings

import (
	"strings"
	"testing"
)

func TestAConsoleWithoutAccountsListensAtALoopbackAddressOnly(t *testing.T) {
	for _, tt := range []struct{ settings, want string }{
		{"console.address=127.0.0.1:8081", ""}, {"console.address=localhost:8081", ""}, {"console.address=[::1]:8081", ""},
		{"console.address=:8081", "console.password_file"}, {"console.address=0.0.0.0:8081", "console.password_file"}, {"console.address=10.0.0.7:1", "console.password_file"},
		{"console.address=:8081 console.password_file=p", ""}, {"console.address=8081", "host:port"},
		{"console.address=127.0.0.1:1 http.address=127.0.0.1:1", "another port"}, {"console.prefix=parley", "slash"}, {"console.prefix=/parley", ""},
	} {
		var s Settings
		for pair := range strings.FieldsSeq(tt.settings) {
			key, value, _ := strings.Cut(pair, "=")
			switch key {
			case "console.address":
				s.Console.Address = value
			case "console.password_file":
				s.Console.PasswordFile = value
			case "console.prefix":
				s.Console.Prefix = value
			case "http.address":
				s.HTTP.Address = value
			}
		}
		err := s.Complete()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.settings, err, tt.want)
		}
	}
}
