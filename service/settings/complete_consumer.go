package settings

import (
	"fmt"
	"time"
)

// consumer checks the consumer's settings.
func (c *completion) consumer() {
	s := &c.s.Consumer
	if len(s.Name) > 255 {
		c.mistake("consumer.name", "is longer than 255 bytes", "")
	}
	for i, secret := range s.Secrets {
		if len(secret) < 16 {
			c.mistake("consumer.secrets", fmt.Sprintf("item %d has fewer than 16 bytes", i+1), "generate one with: openssl rand -hex 32")
		}
	}
	c.failures()
	c.retention()
}

// retention warns of identities that are forgotten while a message may still wait in a retry queue. With failed deliveries in the
// database, the sweep of the inbox keeps the identities of those that wait.
func (c *completion) retention() {
	if c.s.FailuresInSQL() || c.s.Database.URL == "" {
		return
	}
	longest := time.Duration(0)
	for _, q := range c.s.RunQueues() {
		sum := time.Duration(0)
		for _, d := range q.RetryDelays {
			sum += d
		}
		longest = max(longest, sum)
	}
	if c.s.Inbox.Retention < longest {
		c.warn("inbox.retention", fmt.Sprintf("a message may wait for %s in retry queues, longer than its identity is kept (%s): it would have its effect twice (use a longer retention)",
			shortDuration(longest), shortDuration(c.s.Inbox.Retention)))
	}
}

func (c *completion) failures() {
	store := c.s.Consumer.Failures.Store
	switch {
	case store == "sql" && c.s.Database.URL == "" && !c.failed["database.url"]:
		c.mistake("consumer.failures.store", "is sql, but there is no database", "set database.url")
	case store == "sql" && c.s.Database.URL.IsMemory() && !c.s.Broker.URL.IsMemory():
		c.warn("consumer.failures.store", "failed deliveries are kept in memory and lost when the process ends (use a database on disk, or set consumer.failures.store to queue)")
	}
}

// FailuresInSQL reports whether the consumer keeps failed deliveries in its database. By default a database in memory is used only
// with a broker in memory, because messages of a real broker must outlive the process.
func (s *Settings) FailuresInSQL() bool {
	switch s.Consumer.Failures.Store {
	case "sql":
		return true
	case "queue":
		return false
	}
	return s.Database.URL != "" && (!s.Database.URL.IsMemory() || s.Broker.URL.IsMemory())
}

// ConsumerName returns the name of the first consumer in the table of failed deliveries, or "" without a consumer.
func (s *Settings) ConsumerName() string {
	if run := s.RunQueues(); len(run) > 0 {
		return run[0].ConsumerName
	}
	return s.Consumer.Name
}

// ConsumerSecrets returns the secrets that sign and verify retry histories. Nil means a secret derived from the broker's login.
func (s *Settings) ConsumerSecrets() [][]byte {
	var out [][]byte
	for _, secret := range s.Consumer.Secrets {
		out = append(out, []byte(secret.Reveal()))
	}
	return out
}
