package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fileWith writes a file and returns its name and a function that replaces its text.
func fileWith(t *testing.T, text string) (name string, change func(text string)) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "secret")
	change = func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change(text)
	return name, change
}

func TestAChangedPasswordFileIsReadAgain(t *testing.T) {
	broker, changeBroker := fileWith(t, "one\n")
	database, changeDatabase := fileWith(t, "first\n")
	for name, s := range map[string]Settings{
		"URL":                       {Broker: Broker{URL: "amqp://u@h/v", PasswordFile: broker}, Database: Database{URL: "postgres://u@h/d", PasswordFile: database}},
		"URLs":                      {Broker: Broker{URLs: []URL{"amqp://u@a/v", "amqp://u@b/v"}, PasswordFile: broker}, Database: Database{URL: "mysql://u@h/d", PasswordFile: database}},
		"parameters":                {Broker: Broker{Host: "h", Username: "u", PasswordFile: broker}, Database: Database{URL: "postgres://u@a,b/d", PasswordFile: database}},
		"parameters without a user": {Broker: Broker{Host: "h", PasswordFile: broker}, Database: Database{URL: "postgres://u@h/d", PasswordFile: database}},
	} {
		t.Run(name, func(t *testing.T) {
			changeBroker("one\n")
			changeDatabase("first\n")
			if err := s.Complete(); err != nil {
				t.Fatal(err)
			}
			login := "u"
			if name == "parameters without a user" {
				login = "guest"
			}
			want := func(broker, database string) {
				t.Helper()
				nowBroker, err := s.RereadBroker()
				nowDatabase, other := s.RereadDatabase()
				if err := errors.Join(err, other); err != nil {
					t.Fatal(err)
				}
				user, password := nowBroker.Broker.Login()
				url := nowDatabase.Database.URL.Reveal()
				if user != login || password != broker || !strings.Contains(url, "u:"+database+"@") {
					t.Errorf("the broker's login is %q, %q and the database is %s, want %s, %q and the password %q", user, password, url, login, broker, database)
				}
			}
			want("one", "first")
			changeBroker("two\n")
			changeDatabase("second\n")
			want("two", "second")
			if _, password := s.Broker.Login(); password != "one" {
				t.Errorf("the settings themselves have changed: %q", password)
			}
			changeBroker("")
			if _, err := s.RereadBroker(); err == nil || !strings.Contains(err.Error(), "broker.password_file") {
				t.Errorf("an empty file: %v, want an error that names broker.password_file", err)
			}
		})
	}
}

func TestAChangedURLFileIsReadAgain(t *testing.T) {
	name, change := fileWith(t, "amqp://u:one@a/v\namqp://u:one@b/v\n")
	s := Settings{Broker: Broker{URLsFile: name}}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	change("amqp://w:two@a/v\namqp://w:two@b/v\n")
	now, err := s.RereadBroker()
	if err != nil {
		t.Fatal(err)
	}
	if user, password := now.Broker.Login(); user != "w" || password != "two" {
		t.Errorf("login %q, %q, want those of the changed file", user, password)
	}
	change("amqp://w:two@a/v\namqp://w:three@b/v\n")
	if _, err := s.RereadBroker(); err == nil || !strings.Contains(err.Error(), "the nodes have different logins") {
		t.Errorf("nodes with different logins: %v, want an error", err)
	}
}

func TestALoginThatIsReadAgainIsTheSameForAllNodes(t *testing.T) {
	password, _ := fileWith(t, "p")
	urls, _ := fileWith(t, "amqp://u:one@a/v\namqp://w:two@b/v\n")
	for name, tt := range map[string]struct {
		broker Broker
		want   string
	}{
		"nodes with different logins": {Broker{URLsFile: urls}, "(broker.urls_file): the nodes have different logins"},
		"different users":             {Broker{URLs: []URL{"amqp://u@a/v", "amqp://w@b/v"}, PasswordFile: password}, "broker.urls: the nodes have different logins"},
		"not read again":              {Broker{URLs: []URL{"amqp://u:one@a/v", "amqp://w:two@b/v"}}, ""},
	} {
		err := (&Settings{Broker: tt.broker}).Complete()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestALoginByCertificateIsChecked(t *testing.T) {
	consumer := Consumer{Secrets: []Secret{"0123456789abcdef"}}
	secured := TLS{CertFile: "c.pem", KeyFile: "k.pem"}
	for name, c := range map[string]struct {
		s    Settings
		want string
	}{
		"complete":       {Settings{Broker: Broker{URL: "amqps://h/v", Auth: "certificate", TLS: secured}, Queue: "q", Consumer: consumer}, ""},
		"no certificate": {Settings{Broker: Broker{URL: "amqps://h/v", Auth: "certificate"}}, "set broker.tls.cert_file"},
		"a password":     {Settings{Broker: Broker{URL: "amqps://h/v", Password: "p", Auth: "certificate", TLS: secured}}, "uses no password"},
		"no secret":      {Settings{Broker: Broker{URL: "amqps://h/v", Auth: "certificate", TLS: secured}, Queue: "q"}, "set consumer.secrets"},
		"a typo":         {Settings{Broker: Broker{URL: "amqps://h/v", Auth: "cert"}}, "broker.auth"},
	} {
		err := c.s.Complete()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestRotatingPasswordsWithoutASecretAreWarnedOf(t *testing.T) {
	name, _ := fileWith(t, "one")
	s := Settings{Broker: Broker{URL: "amqp://u@localhost/v", PasswordFile: name}, Queue: "q"}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	if w := strings.Join(s.Warnings(), "\n"); !strings.Contains(w, "set consumer.secrets") {
		t.Errorf("warnings %q lack the one about consumer.secrets", w)
	}
}

func TestALoginRotatesIfItComesFromAFile(t *testing.T) {
	for _, b := range []Broker{{PasswordFile: "f"}, {URLFile: "f"}, {URLsFile: "f"}} {
		if !b.RotatesLogin() {
			t.Errorf("%+v: not read again", b)
		}
	}
	if (&Broker{URL: "amqp://u:p@h/", Password: "p"}).RotatesLogin() {
		t.Error("a login without a file is read again")
	}
}

func TestABrokenSecretFileOfTheBrokerLeavesTheDatabaseAlone(t *testing.T) {
	s, broker, _ := completeWithFiles(t)
	for name, breakFile := range map[string]func(file string) error{
		"missing": os.Remove,
		"empty":   func(file string) error { return os.WriteFile(file, nil, 0o600) },
		"torn":    func(file string) error { return os.WriteFile(file, []byte("amqp"), 0o600) },
	} {
		if err := errors.Join(breakFile(broker), breakFile(s.Broker.ManagementURLFile), breakFile(s.REST.PasswordFile)); err != nil {
			t.Fatal(err)
		}
		if now, err := s.RereadDatabase(); err != nil || !strings.Contains(now.Database.URL.Reveal(), "of-database") {
			t.Errorf("%s: %v, want the login of the database", name, err)
		}
		if _, err := s.RereadBroker(); err == nil || !strings.Contains(err.Error(), "broker.url") {
			t.Errorf("%s: %v, want an error that names broker.url", name, err)
		}
		for file, text := range map[string]string{broker: "amqp://u:p@localhost/v", s.Broker.ManagementURLFile: "http://localhost:1", s.REST.PasswordFile: "p"} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestABrokenSecretFileOfAnotherPartLeavesTheBrokerAlone(t *testing.T) {
	s, _, database := completeWithFiles(t)
	if err := errors.Join(os.Remove(database), os.Remove(s.Broker.ManagementURLFile), os.Remove(s.REST.PasswordFile)); err != nil {
		t.Fatal(err)
	}
	now, err := s.RereadBroker()
	if err != nil {
		t.Fatal(err)
	}
	if user, password := now.Broker.Login(); user != "u" || password != "of-broker" {
		t.Errorf("the login is %q, %q, want that of broker.url_file", user, password)
	}
	if _, err := s.RereadDatabase(); err == nil || !strings.Contains(err.Error(), "database.url_file") {
		t.Errorf("%v, want an error that names database.url_file", err)
	}
}

// completeWithFiles returns settings whose secrets are in files, and the files of the URLs of broker and database.
func completeWithFiles(t *testing.T) (s *Settings, broker, database string) {
	t.Helper()
	broker, _ = fileWith(t, "amqp://u:of-broker@localhost/v")
	database, _ = fileWith(t, "postgres://u:of-database@localhost/d")
	management, _ := fileWith(t, "http://localhost:15672")
	rest, _ := fileWith(t, "of-rest")
	s = &Settings{
		Broker: Broker{URLFile: broker, ManagementURLFile: management}, Database: Database{URLFile: database},
		REST: REST{Username: "u", PasswordFile: rest, AuthURL: "login"},
	}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	return s, broker, database
}
