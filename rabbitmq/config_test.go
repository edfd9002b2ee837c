package rabbitmq_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-go/parley/rabbitmq"
)

func TestMistakesInTheConfigurationAreNamed(t *testing.T) {
	for _, c := range []struct {
		cfg  rabbitmq.Config
		want string
	}{
		{rabbitmq.Config{URL: "http://localhost"}, "amqp or amqps"},
		{rabbitmq.Config{URL: "amqp://h", Host: "h"}, "exclude"},
		{rabbitmq.Config{URL: "amqp://h", URLs: []string{"amqp://h"}}, "URL and Config.URLs exclude each other"},
		{rabbitmq.Config{Host: "h", Hosts: []string{"h"}}, "Config.Host and Config.Hosts exclude each other"},
		{rabbitmq.Config{URLs: []string{"amqp://h", "amqp://h:99999"}}, "URLs[1]"},
		{rabbitmq.Config{Hosts: []string{"h:0"}}, "port"},
		{rabbitmq.Config{Host: "user:secret@h"}, "credentials"},
		{rabbitmq.Config{URL: "amqp://h/?heartbeat=3"}, "Heartbeat"},
		{rabbitmq.Config{Port: 70000}, "Port"},
		{rabbitmq.Config{Heartbeat: time.Second, Window: -1}, "Heartbeat"},
		{rabbitmq.Config{Heartbeat: time.Second, Window: -1}, "Window"},
	} {
		if _, err := rabbitmq.New(&c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want it to contain %q", c.cfg, err, c.want)
		}
	}
}
