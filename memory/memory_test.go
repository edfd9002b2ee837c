package memory

import "github.com/parley-go/parley"

var (
	_ parley.Broker           = (*Broker)(nil)
	_ parley.OutboxStore[*Tx] = (*Store)(nil)
	_ parley.InboxStore[*Tx]  = (*Store)(nil)
	_ parley.RelaySource      = (*Store)(nil)
	_ parley.RelayWaker       = (*Store)(nil)
	_ parley.OutboxInspector  = (*Store)(nil)
	_ parley.ParkedStore      = (*Store)(nil)
)
