package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestRedactHidesWhatTheSettingsAndTheCallerKeepSecret(t *testing.T) {
	s := &Settings{Broker: Broker{Password: "of the broker"}}
	err := s.Redact(errors.New("login with of the broker, then with another one"), "another one")
	if text := err.Error(); strings.Contains(text, "of the broker") || strings.Contains(text, "another one") {
		t.Errorf("the error shows a secret: %s", text)
	}
}

func TestAPasswordIsHiddenInEveryPlaceAndAWordOnlyWhereItIsAPassword(t *testing.T) {
	for _, tt := range []struct{ password, text, want string }{
		{"s3cret-9", "x s3cret-9 y", "x xxxxx y"},
		{"s3cret-9", `prefix.s3cret-9_suffix`, "prefix.xxxxx_suffix"},
		{"correcthorsebatterystaple", "no correcthorsebatterystaple here", "no xxxxx here"},
		{"parley", `pending (run "parley migrate up", see parley_outbox in parley.yaml)`, ""},
		{"postgres", "cannot reach postgres://db.example.com/app", ""},
		{"parley", `dial amqp://u:parley@mq: refused`, `dial amqp://u:xxxxx@mq: refused`},
		{"parley", `parse "amqp://u:parley@mq:x/": invalid port`, `parse "amqp://u:xxxxx@mq:x/": invalid port`},
		{"parley", `host=h password=parley user=u`, `host=h password=xxxxx user=u`},
		{"parley", `host=h password='parley' user=u`, `host=h password='xxxxx' user=u`},
		{"parley", `{"Password": "parley", "x": 1}`, `{"Password": "xxxxx", "x": 1}`},
		{"parley", `"{\"pwd\":\"parley\"}"`, `"{\"pwd\":\"xxxxx\"}"`},
		{"parley", "wrong password parley for user u", "wrong password xxxxx for user u"},
		{"parley", "the password is parley", "the password is xxxxx"},
		{"parley", "login with 'parley' refused", "login with 'xxxxx' refused"},
		{"parley", "login with `parley`", "login with `xxxxx`"},
		{"parley", "u:parley@tcp(h:1)/parley_orders", "u:xxxxx@tcp(h:1)/parley_orders"},
		{"parley", "parley", "xxxxx"},
	} {
		s := &Settings{Broker: Broker{Password: Secret(tt.password)}}
		if tt.want == "" {
			tt.want = tt.text
		}
		if got := s.Redact(errors.New(tt.text)).Error(); got != tt.want {
			t.Errorf("%q with the password %q becomes %q, want %q", tt.text, tt.password, got, tt.want)
		}
	}
}

func TestARedactedErrorKeepsItsKindAndHidesItsCause(t *testing.T) {
	s := &Settings{Broker: Broker{Password: "s3cret-9"}}
	cause := &Error{[]Mistake{{Key: "broker.url", Problem: "s3cret-9"}}}
	err := fmt.Errorf("outer: %w", s.Redact(errors.Join(fmt.Errorf("open s3cret-9: %w", fs.ErrNotExist), cause)))
	if _, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v has lost its kinds", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, errors.Unwrap(err)); strings.Contains(text, "s3cret-9") {
			t.Errorf("%s shows the secret: %s", verb, text)
		}
	}
	if inner := errors.Unwrap(errors.Unwrap(err)); inner != nil {
		t.Errorf("the cause can be unwrapped: %v", inner)
	}
}

func TestOfTwoSecretsTheLongerIsHiddenFirst(t *testing.T) {
	s := &Settings{Broker: Broker{Password: "s3cret"}, Database: Database{Password: "s3cret-and-more"}}
	if got := s.Redact(errors.New("login with s3cret-and-more")).Error(); got != "login with xxxxx" {
		t.Errorf("%q shows a part of the longer secret", got)
	}
}
