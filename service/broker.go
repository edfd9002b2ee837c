package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/memory"
	"github.com/parley-go/parley/rabbitmq"
)

// A closableBroker is the broker that the settings name.
type closableBroker interface {
	parley.Broker
	Close(ctx context.Context) error
}

// openBroker makes the broker; it connects when it is first used.
func openBroker(s *Settings, log *slog.Logger) (closableBroker, error) {
	if isMemory(s.Broker.URL) {
		return memory.NewBroker(&memory.BrokerConfig{Topology: s.topologyMode(), LogLimit: -1}), nil
	}
	b := &s.Broker
	cfg := &rabbitmq.Config{
		URL: b.URL.Reveal(), Host: b.Host, Port: b.Port, VirtualHost: b.VirtualHost,
		Name: or(s.AppID, "parley"), Heartbeat: b.Heartbeat, DialTimeout: b.DialTimeout,
		ConfirmTimeout: b.ConfirmTimeout, Window: b.Window,
		Topology: s.topologyMode(), ExchangeTypes: map[string]parley.ExchangeType{}, Logger: log,
	}
	if b.URL == "" {
		cfg.Username, cfg.Password = b.Username, b.Password.Reveal()
	}
	for _, e := range s.Exchanges {
		if e.Type != "" {
			cfg.ExchangeTypes[e.Name] = parley.ExchangeType(e.Type)
		}
	}
	var err error
	if cfg.TLS, err = b.TLS.config(); err != nil {
		return nil, err
	}
	broker, err := rabbitmq.New(cfg)
	if err != nil {
		return nil, redacted(err, s.secrets()...)
	}
	return broker, nil
}

// config reads the certificates; nil stands for the system's defaults, or for no TLS.
func (t *TLSSettings) config() (*tls.Config, error) {
	if *t == (TLSSettings{}) {
		return nil, nil
	}
	cfg := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("broker.tls.ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("broker.tls.ca_file: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("broker.tls.cert_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func (s *Settings) topologyMode() parley.TopologyMode {
	switch s.Topology {
	case "verify":
		return parley.TopologyVerify
	case "none":
		return parley.TopologyNone
	}
	return parley.TopologyDeclare
}

// brokerName names the broker in logs.
func (s *Settings) brokerName() string {
	if s.Broker.URL != "" {
		return s.Broker.URL.String()
	}
	return s.Broker.Host
}

// topology is what the settings want on the broker.
func (s *Settings) topology() parley.Topology {
	t := s.relayTopology()
	if s.Queue != "" {
		t.Queues = []parley.Queue{{Name: s.Queue}}
	}
	for _, b := range s.Binds {
		t.Bindings = append(t.Bindings, parley.Binding{Queue: s.Queue, Exchange: b.Exchange, RoutingKey: b.RoutingKey})
	}
	return t
}

// relayTopology is what the relay wants: the exchanges, no queue.
func (s *Settings) relayTopology() parley.Topology {
	t := parley.Topology{Mode: s.topologyMode()}
	for _, e := range s.Exchanges {
		t.Exchanges = append(t.Exchanges, parley.Exchange{Name: e.Name, Type: parley.ExchangeType(e.Type)})
	}
	return t
}
