// Package accounts holds the contracts of the examples with ORMs.
package accounts

import "github.com/parley-go/parley"

// An Account is the payload of the events.
type Account struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// The events about accounts. A handler welcomes each account that is renamed.
var (
	Renamed  = parley.NewEvent[Account]("account", "renamed")
	Welcomed = parley.NewEvent[Account]("account", "welcomed")
)
