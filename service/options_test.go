package service

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/mysql"
	"github.com/parley-go/parley/otelparley"
	"github.com/parley-go/parley/postgres"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/rest"
	"github.com/parley-go/parley/service/settings"
	"github.com/parley-go/parley/sqlite"
)

// options are the structs of the Go API that configure a service.
var options = []any{
	parley.RelayConfig{}, parley.ConsumerConfig{}, parley.KillSwitchConfig{}, parley.RetryPolicy{}, parley.InboxConfig{}, parley.OutboxConfig{}, parley.CallerConfig{},
	parley.KeyRules{}, parley.Exchange{}, parley.Queue{}, parley.Binding{},
	rabbitmq.Config{}, memory.BrokerConfig{},
	postgres.Config{}, postgres.DjangoConfig{}, mysql.Config{}, mysql.DjangoConfig{}, sqlite.Config{}, sqlite.DjangoConfig{},
	rest.Config{}, rest.RetryConfig{}, rest.BreakerConfig{}, rest.TransportConfig{}, rest.LoginConfig{}, rest.AuthConfig{},
	otelparley.Config{},
}

// settingOf maps options to the setting that sets them, or to a group of settings.
var settingOf = map[string]string{
	"parley.RelayConfig.Mode": "relay.mode", "parley.RelayConfig.BatchSize": "relay.batch_size", "parley.RelayConfig.MaxBytes": "relay.max_bytes",
	"parley.RelayConfig.PollInterval": "relay.poll_interval", "parley.RelayConfig.StandbyInterval": "relay.standby_interval",
	"parley.RelayConfig.HoldLimit": "relay.hold_limit", "parley.RelayConfig.ShutdownTimeout": "relay.shutdown_timeout",
	"parley.RelayConfig.Unroutable": "relay.unroutable", "parley.RelayConfig.Topology": "exchanges", "parley.RelayConfig.Logger": "log",

	"parley.ConsumerConfig.Queue": "queues", "parley.ConsumerConfig.Name": "consumer.name", "parley.ConsumerConfig.Failures": "consumer.failures.store",
	"parley.ConsumerConfig.FailureRetention": "consumer.failures.retention", "parley.ConsumerConfig.PoisonLimit": "consumer.poison_limit",
	"parley.ConsumerConfig.Topology": "binds", "parley.ConsumerConfig.Concurrency": "consumer.concurrency", "parley.ConsumerConfig.Prefetch": "consumer.prefetch",
	"parley.ConsumerConfig.Unhandled": "consumer.unhandled", "parley.ConsumerConfig.Secrets": "consumer.secrets", "parley.ConsumerConfig.MaxBytes": "consumer.max_bytes",
	"parley.ConsumerConfig.Retry": "consumer.retry_delays", "parley.ConsumerConfig.KillSwitch": "consumer.kill_switch",
	"parley.ConsumerConfig.HandlerTimeout": "consumer.handler_timeout", "parley.ConsumerConfig.StuckAfter": "consumer.stuck_after",
	"parley.ConsumerConfig.MaxStuck": "consumer.max_stuck", "parley.ConsumerConfig.ShutdownTimeout": "consumer.shutdown_timeout", "parley.ConsumerConfig.Logger": "log",
	"parley.KillSwitchConfig.Share": "consumer.kill_switch.share", "parley.KillSwitchConfig.Minimum": "consumer.kill_switch.minimum", "parley.KillSwitchConfig.Window": "consumer.kill_switch.window",
	"parley.RetryPolicy.Immediate": "consumer.immediate_retries", "parley.RetryPolicy.Delays": "consumer.retry_delays",
	"parley.InboxConfig.Consumer": "consumer.name", "parley.InboxConfig.Retention": "inbox.retention", "parley.InboxConfig.SweepInterval": "inbox.sweep_interval", "parley.InboxConfig.Logger": "log",
	"parley.OutboxConfig.AppID": "app_id", "parley.OutboxConfig.KeyRules": "keys", "parley.ConsumerConfig.KeyRules": "keys",
	"parley.CallerConfig.Logger": "log", "parley.CallerConfig.KeyRules": "keys",
	"parley.KeyRules.IgnoreKeys": "keys.ignore_keys", "parley.KeyRules.IgnoreFields": "keys.ignore_fields", "parley.KeyRules.NoUnderscoreBeforeNumber": "keys.no_underscore_before_number",
	"parley.Exchange.Name": "exchanges", "parley.Exchange.Type": "exchanges", "parley.Exchange.Arguments": "exchanges",
	"parley.Queue.Name": "queues", "parley.Queue.Arguments": "queues", "parley.Queue.TTL": "queues", "parley.Queue.DeadLetterTo": "queues",
	"parley.Binding.Queue": "queues", "parley.Binding.Exchange": "binds", "parley.Binding.RoutingKey": "binds",

	"rabbitmq.Config.URL": "broker.url", "rabbitmq.Config.URLs": "broker.urls", "rabbitmq.Config.Host": "broker.host", "rabbitmq.Config.Port": "broker.port",
	"rabbitmq.Config.VirtualHost": "broker.virtual_host", "rabbitmq.Config.Username": "broker.username", "rabbitmq.Config.Password": "broker.password",
	"rabbitmq.Config.TLS": "broker.tls", "rabbitmq.Config.Name": "app_id", "rabbitmq.Config.Heartbeat": "broker.heartbeat",
	"rabbitmq.Config.DialTimeout": "broker.dial_timeout", "rabbitmq.Config.ConfirmTimeout": "broker.confirm_timeout", "rabbitmq.Config.Window": "broker.window",
	"rabbitmq.Config.MaxBody": "broker.max_body", "rabbitmq.Config.Topology": "topology", "rabbitmq.Config.ExchangeTypes": "exchanges",
	"rabbitmq.Config.Credentials": "broker.password_file", "rabbitmq.Config.External": "broker.auth", "mysql.Config.BeforeConnect": "database.password_file",
	"rabbitmq.Config.ExchangeArguments": "exchanges", "rabbitmq.Config.Logger": "log",
	"memory.BrokerConfig.Topology": "topology", "memory.BrokerConfig.MaxBody": "broker.max_body",

	"postgres.Config.Schema": "database.schema", "postgres.Config.FailedTable": "consumer.failures.table", "postgres.Config.PollOnly": "database.poll_only",
	"postgres.DjangoConfig.Schema": "database.schema", "postgres.DjangoConfig.AppID": "app_id", "postgres.DjangoConfig.PollOnly": "database.poll_only", "postgres.DjangoConfig.Logger": "log",
	"mysql.Config.WatchInterval": "database.watch_interval", "mysql.Config.FailedTable": "consumer.failures.table",
	"mysql.DjangoConfig.AppID": "app_id", "mysql.DjangoConfig.WatchInterval": "database.watch_interval",
	"sqlite.Config.BusyTimeout": "database.busy_timeout", "sqlite.Config.WatchInterval": "database.watch_interval", "sqlite.Config.Lease": "relay.hold_limit", "sqlite.Config.FailedTable": "consumer.failures.table",
	"sqlite.DjangoConfig.AppID": "app_id", "sqlite.DjangoConfig.WatchInterval": "database.watch_interval", "sqlite.DjangoConfig.Lease": "relay.hold_limit",

	"rest.Config.Host": "rest.host", "rest.Config.AuthURL": "rest.auth_url", "rest.Config.Credential": "rest.credential", "rest.Config.Username": "rest.username",
	"rest.Config.Password": "rest.password", "rest.Config.Timeout": "rest.timeout", "rest.Config.MaxBytes": "rest.max_bytes", "rest.Config.UserAgent": "rest.user_agent",
	"rest.Config.Login": "rest.token_field", "rest.Config.Retry": "rest.max_retries", "rest.Config.Connections": "rest.deny_private",
	"rest.RetryConfig.MaxRetries": "rest.max_retries", "rest.TransportConfig.DenyPrivate": "rest.deny_private",
	"rest.LoginConfig.TokenField": "rest.token_field", "rest.LoginConfig.RefreshURL": "rest.refresh_url",
	"otelparley.Config.TracerProvider": "telemetry.otlp", "otelparley.Config.MeterProvider": "telemetry.otlp",
}

// withoutSetting matches an option in the table "Options without a setting" of docs/operations.md.
var withoutSetting = regexp.MustCompile("`([a-z]+\\.[A-Za-z]+\\.[A-Za-z*]+)`")

// documented returns the options of the table, with their reasons.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "### Options without a setting\n")
	if !ok {
		t.Fatal("docs/operations.md has no chapter \"Options without a setting\"")
	}
	table, _, _ = strings.Cut(table, "\n#")
	out := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range withoutSetting.FindAllStringSubmatch(cells[1], -1) {
			out[m[1]] = strings.TrimSpace(cells[2])
		}
	}
	return out
}

func TestEveryOptionOfTheGoAPIHasASettingOrAReasonInTheDocumentation(t *testing.T) {
	reasons := documented(t)
	known := settingNames(t)
	seen := map[string]bool{}
	for _, o := range options {
		kind := reflect.TypeOf(o)
		all := kind.String() + ".*"
		for i := range kind.NumField() {
			name := kind.String() + "." + kind.Field(i).Name
			setting, has := settingOf[name]
			reason := reasons[name]
			if reason == "" {
				reason = reasons[all]
			}
			seen[name], seen[all] = true, true
			switch {
			case has && !known[setting]:
				t.Errorf("%s has the setting %s, which does not exist", name, setting)
			case has && reasons[name] != "":
				t.Errorf("%s has the setting %s, but docs/operations.md lists it without one", name, setting)
			case !has && reason == "":
				t.Errorf("%s has neither a setting nor a line in \"Options without a setting\" of docs/operations.md", name)
			}
		}
	}
	for name := range maps.Keys(settingOf) {
		if !seen[name] {
			t.Errorf("option %s does not exist", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		if !seen[name] {
			t.Errorf("docs/operations.md names the option %s, which does not exist", name)
		}
	}
}

// settingNames returns the names of all settings and of their groups.
func settingNames(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	var add func(kind reflect.Type, prefix string)
	add = func(kind reflect.Type, prefix string) {
		for i := range kind.NumField() {
			f := kind.Field(i)
			key, ok := f.Tag.Lookup("key")
			if !ok {
				continue
			}
			out[prefix+key] = true
			if f.Type.Kind() == reflect.Struct {
				add(f.Type, prefix+key+".")
			}
		}
	}
	add(reflect.TypeFor[settings.Settings](), "")
	return out
}
