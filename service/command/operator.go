package command

import (
	"cmp"
	"context"
	"os"
	osuser "os/user"

	"github.com/parley-go/parley"
)

// asOperator returns a context whose changes are logged as those of the user who runs the command.
func asOperator(ctx context.Context, note string, entry int64) context.Context {
	return parley.WithActor(ctx, operator(note, entry))
}

// operator returns the user who runs the command. With sudo it is the user who called it.
func operator(note string, entry int64) parley.Actor {
	host, _ := os.Hostname()
	name := os.Getenv("SUDO_USER")
	if u, err := osuser.Current(); err == nil {
		name = cmp.Or(name, u.Username)
	}
	return parley.Actor{Name: cmp.Or(name, os.Getenv("USER")), Host: host, Reason: note, Entry: entry}
}
