package settings

import (
	"strings"
	"testing"
)

func TestNeedNamesEachMissingSettingAndHowToGiveIt(t *testing.T) {
	s := &Settings{Queue: "shop"}
	if err := s.Need("queue"); err != nil {
		t.Error(err)
	}
	err := s.Need("queue", "broker.url", "database.url")
	if err == nil {
		t.Fatal("nothing is missing")
	}
	for _, want := range []string{"broker.url", "PARLEY_BROKER_URL", "database.url", "PARLEY_DATABASE_URL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s: %v", want, err)
		}
	}
	s.Broker.Host = "mq.example.com"
	if err := s.Need("broker.url"); err != nil {
		t.Errorf("a host is given in place of the URL: %v", err)
	}
}
