package service

import (
	"time"
)

// samples has one value for each setting: as it stands in a YAML file, as the text of a
// variable or flag, and as Settings hold it.
var samples = map[string]struct {
	yaml, text string
	want       any
}{
	"app_id":                   {"shop", "shop", "shop"},
	"broker.url":               {"amqps://u:p@h/v", "amqps://u:p@h/v", URL("amqps://u:p@h/v")},
	"broker.url_file":          {"@memory:", "@memory:", nil},
	"broker.host":              {"h", "h", "h"},
	"broker.port":              {"5673", "5673", 5673},
	"broker.virtual_host":      {`"1"`, "1", "1"},
	"broker.username":          {"u", "u", "u"},
	"broker.password":          {`"0123"`, "0123", Secret("0123")},
	"broker.password_file":     {"@s3cret", "@s3cret", nil},
	"broker.tls.enabled":       {"true", "true", true},
	"broker.tls.ca_file":       {"ca.pem", "ca.pem", "ca.pem"},
	"broker.tls.cert_file":     {"c.pem", "c.pem", "c.pem"},
	"broker.tls.key_file":      {"k.pem", "k.pem", "k.pem"},
	"broker.tls.server_name":   {"n", "n", "n"},
	"broker.heartbeat":         {"7s", "7s", "7s"},
	"broker.dial_timeout":      {"3s", "3s", "3s"},
	"broker.confirm_timeout":   {"4s", "4s", "4s"},
	"broker.window":            {"10", "10", 10},
	"queue":                    {"q", "q", "q"},
	"exchanges":                {`[a, {name: b, type: fanout}, [c, direct]]`, "a,b:fanout,c:direct", []Exchange{{"a", ""}, {"b", "fanout"}, {"c", "direct"}}},
	"binds":                    {`[a, {exchange: b, routing_key: "e.*"}]`, `["a", ["b", "e.*"]]`, []Bind{{"a", ""}, {"b", "e.*"}}},
	"topology":                 {"verify", "none", nil},
	"database.url":             {"sqlite:x.db", "sqlite:x.db", URL("sqlite:x.db")},
	"database.url_file":        {"@memory:", "@memory:", nil},
	"database.password":        {"pw", "pw", Secret("pw")},
	"database.password_file":   {"@pw", "@pw", nil},
	"database.table":           {"t", "t", "t"},
	"database.schema":          {"s", "s", "s"},
	"database.poll_only":       {"true", "true", true},
	"database.max_connections": {"3", "3", 3},
	"relay.mode":               {"parallel", "parallel", "parallel"},
	"relay.batch_size":         {"5", "5", 5},
	"relay.max_bytes":          {"4096", "4096", 4096},
	"relay.poll_interval":      {"2s", "2s", "2s"},
	"relay.standby_interval":   {"3s", "3s", "3s"},
	"relay.hold_limit":         {"4s", "4s", "4s"},
	"relay.grace":              {"6s", "6s", "6s"},
	"relay.unroutable":         {"park", "retry", nil},
	"consumer.lanes":           {"2", "2", 2},
	"consumer.prefetch":        {"9", "9", 9},
	"consumer.grace":           {"8s", "8s", "8s"},
	"consumer.quick_retries":   {"[1s, 300ms]", "1s,300ms", []time.Duration{time.Second, 300 * time.Millisecond}},
	"consumer.retry_delays":    {"[1m]", "1m", []time.Duration{time.Minute}},
	"consumer.handler_timeout": {"1m0s", "1m0s", "1m0s"},
	"consumer.secret":          {"0123456789abcdefg", "0123456789abcdefg", Secret("0123456789abcdefg")},
	"consumer.secret_file":     {"@0123456789abcdefg", "@0123456789abcdefg", nil},
	"consumer.max_bytes":       {"5", "5", 5},
	"database.migrate":         {"true", "true", true},
	"consumer.unhandled":       {"park", "park", "park"},
	"rest.host":                {"https://h", "https://h", "https://h"},
	"rest.auth_url":            {"login", "login", "login"},
	"rest.credential":          {"{login: me, pin: 1}", `{"login": "me", "pin": 1}`, nil},
	"rest.credential_file":     {`@{"login": "me"}`, `@{"login": "me"}`, nil},
	"rest.username":            {"u", "u", "u"},
	"rest.password":            {"p", "p", Secret("p")},
	"rest.password_file":       {"@p", "@p", nil},
	"rest.timeout":             {"9s", "9s", "9s"},
	"http.address":             {"127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1"},
	"http.metrics":             {"true", "true", true},
	"log.level":                {"debug", "warn", nil},
	"log.format":               {"json", "json", "json"},
}

// needed are settings without which another one is a mistake.
var needed = map[string]string{
	"broker.port": "broker.host=h", "broker.virtual_host": "broker.host=h", "broker.username": "broker.host=h",
	"broker.password": "broker.host=h", "broker.password_file": "broker.host=h",
	"broker.tls.ca_file": "broker.tls.enabled=true", "broker.tls.server_name": "broker.tls.enabled=true",
	"broker.tls.cert_file": "broker.tls.enabled=true broker.tls.key_file=k", "broker.tls.key_file": "broker.tls.enabled=true broker.tls.cert_file=c",
	"http.metrics": "http.address=127.0.0.1:1",
	"binds":        "queue=q", "rest.credential": "rest.auth_url=l", "rest.credential_file": "rest.auth_url=l",
	"rest.username": "rest.password=p rest.auth_url=l", "rest.password": "rest.username=u rest.auth_url=l", "rest.password_file": "rest.username=u rest.auth_url=l",
}
