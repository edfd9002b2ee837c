package settings

import "fmt"

// spareConnections are added to one connection for each handler: for the rest of the program, and for handlers that use two.
const spareConnections = 4

// connections sets the default of database.max_connections, and warns of too few connections.
func (c *completion) connections() {
	d, concurrency := &c.s.Database, c.s.Consumer.Concurrency
	if run := c.s.RunQueues(); len(run) > 0 {
		concurrency = 0
		for _, q := range run {
			concurrency += q.Concurrency
		}
	}
	if c.failed["database.max_connections"] || c.failed["consumer.concurrency"] || d.URL == "" {
		return
	}
	want := concurrency + spareConnections
	if d.MaxConnections == 0 {
		d.MaxConnections = want
	}
	if len(c.s.AllQueues()) == 0 || d.MaxConnections >= want || d.Scheme() == "memory" || d.Scheme() == "sqlite" {
		return
	}
	c.warn("database.max_connections", fmt.Sprintf("%d connections for %d handlers at once: slow handlers in transactions can use all of them (use %d or more, or a smaller consumer.concurrency)",
		d.MaxConnections, concurrency, want))
}
