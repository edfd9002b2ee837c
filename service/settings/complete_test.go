package settings

import "testing"

func TestCompleteFillsInWhatAProgramLeavesOut(t *testing.T) {
	s := &Settings{Queue: "shop", Broker: Broker{URL: "amqp://shop:s3cret@mq.example.com/"}, Database: Database{URL: "sqlite:shop.sqlite"}, Exchanges: []Exchange{{Name: "order"}}}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	if s.ConsumerName() != "shop" {
		t.Errorf("the consumer is called %q, want the name of its queue", s.ConsumerName())
	}
	if s.Consumer.Name = "mail"; s.ConsumerName() != "mail" {
		t.Errorf("the consumer is called %q, want its own name", s.ConsumerName())
	}
	if got := s.BrokerName(); got != "amqp://shop:xxxxx@mq.example.com/" {
		t.Errorf("logs call the broker %q", got)
	}
	if got := s.Database.SQLitePath(); got != "shop.sqlite" {
		t.Errorf("the file of the database is %q", got)
	}
	if topology := s.RelayTopology(); len(topology.Exchanges) != 1 || topology.Exchanges[0].Name != "order" || len(topology.Queues) != 0 {
		t.Errorf("the relay declares %+v, want the exchange and no queue", topology)
	}
}
