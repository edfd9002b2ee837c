package service

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/rabbitmq"
	"github.com/parley-go/parley/service/settings"
)

// A closableBroker is a broker that the service opened and has to close.
type closableBroker interface {
	parley.Broker
	Close(ctx context.Context) error
}

// openBroker returns the broker that the settings name. It connects on first use.
func openBroker(s *settings.Settings, log *slog.Logger) (closableBroker, error) {
	if s.Broker.URL.IsMemory() {
		return memory.NewBroker(&memory.BrokerConfig{Topology: s.TopologyMode(), MaxBody: s.Broker.MaxBody, LogLimit: -1}), nil
	}
	b := &s.Broker
	cfg := &rabbitmq.Config{
		URL: b.URL.Reveal(), Host: b.Host, Port: b.Port, VirtualHost: b.VirtualHost,
		Name: cmp.Or(s.AppID, "parley"), Heartbeat: b.Heartbeat, DialTimeout: b.DialTimeout,
		ConfirmTimeout: b.ConfirmTimeout, Window: b.Window, MaxBody: b.MaxBody,
		Topology: s.TopologyMode(), ExchangeTypes: map[string]parley.ExchangeType{}, ExchangeArguments: map[string]map[string]any{}, Logger: log,
	}
	for _, u := range b.URLs {
		cfg.URLs = append(cfg.URLs, u.Reveal())
	}
	if b.URL == "" && len(b.URLs) == 0 {
		cfg.Username, cfg.Password = b.Username, b.Password.Reveal()
	}
	for _, e := range s.Exchanges {
		if e.Type != "" {
			cfg.ExchangeTypes[e.Name] = parley.ExchangeType(e.Type)
		}
		if len(e.Arguments) > 0 {
			cfg.ExchangeArguments[e.Name] = e.Arguments
		}
	}
	var err error
	if cfg.TLS, err = b.TLS.Config(); err != nil {
		return nil, err
	}
	cfg.External = b.Auth == settings.AuthCertificate
	if b.RotatesLogin() || b.TLS.CAFile != "" || b.TLS.CertFile != "" {
		cfg.Credentials = func() (rabbitmq.Credentials, error) { return brokerCredentials(s) }
	}
	broker, err := rabbitmq.New(cfg)
	if err != nil {
		return nil, s.Redact(err)
	}
	return broker, nil
}

// brokerCredentials reads the files of the settings again. A driver calls it for each connection, so a changed password or certificate is
// used from the next connection on.
func brokerCredentials(s *settings.Settings) (c rabbitmq.Credentials, err error) {
	if s.Broker.RotatesLogin() {
		now, err := s.RereadBroker()
		if err != nil {
			return c, err
		}
		c.Username, c.Password = now.Broker.Login()
	}
	c.TLS, err = s.Broker.TLS.Config()
	return c, err
}
