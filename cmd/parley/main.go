// Command parley is the operator's tool: it demonstrates parley (parley demo), relays an outbox to a broker without a service, and
// administers databases and brokers: migrations, checks, scheduled and parked messages. `parley help` lists the commands.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/parley-go/parley/internal/failpoint"
	"github.com/parley-go/parley/service/command"
)

const long = `parley moves events and commands between services with a transactional outbox, a relay and a consumer.
Start with "parley demo": it needs no server.

Settings come from parley.yaml, from PARLEY_... variables and from flags. Flags override the environment,
and the environment overrides the file. "parley settings schema" lists all settings. Each has a flag:
broker.virtual_host is --broker-virtual-host. Secrets have no flag: use a variable or a file.`

func main() {
	failpoint.Exit(command.Execute(context.Background(), newCommand(), os.Args[1:]))
}

func newCommand() *cobra.Command {
	root := command.NewOperator("parley", long)
	root.AddCommand(demoCommand(), initCommand(), command.NewDev())
	return root
}
