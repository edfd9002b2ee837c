// Command parley shows what parley does (parley demo), relays events from an outbox to a
// broker without a service of its own, and looks after outboxes: migrations, health,
// scheduled and parked records. `parley help` lists the commands.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/service"
)

const long = `parley moves events and commands between services: a transactional outbox, a relay, a consumer.
Begin with "parley demo": it needs nothing.

Settings come from parley.yaml, from PARLEY_... variables and from flags; a flag goes before the
environment, and that before the file. "parley settings schema" lists all of them; each is a flag
too: broker.virtual_host is --broker-virtual-host. Passwords have no flag: use a variable or a file.`

func main() {
	failpoint.Exit(service.Execute(context.Background(), newCommand(), os.Args[1:]))
}

func newCommand() *cobra.Command {
	root := service.NewOperatorCommand("parley", long)
	root.AddCommand(demoCommand(), initCommand(), service.NewDevCommand(), versionCommand())
	return root
}
