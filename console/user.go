package console

import (
	"errors"
	"strings"
)

// A Role is a set of rights; combine roles with |.
type Role int

// The roles of users. Each includes only what it names: an operator who may see the lists is RoleReader|RoleOperator.
const (
	// RoleReader sees states, lists, error texts and settings, but neither bodies nor headers of messages.
	RoleReader Role = 1 << iota
	// RolePayloads sees bodies and headers of messages.
	RolePayloads
	// RoleOperator replays, drops, cancels, moves, pauses and resumes.
	RoleOperator
	// RoleEditor changes the bodies of parked messages. It also needs RolePayloads.
	RoleEditor

	// RoleAll has all rights.
	RoleAll = RoleReader | RolePayloads | RoleOperator | RoleEditor

	roleProxy Role = 1 << 10 // an account that names its user in a header
)

var roleNames = []struct {
	role Role
	name string
}{{RoleReader, "reader"}, {RolePayloads, "payloads"}, {RoleOperator, "operator"}, {RoleEditor, "editor"}}

// String returns the names of the roles, such as "reader,operator".
func (r Role) String() string {
	var out []string
	for _, n := range roleNames {
		if r&n.role != 0 {
			out = append(out, n.name)
		}
	}
	return strings.Join(out, ",")
}

// A User is a person or a program that uses the console.
type User struct {
	// Name is written to the log of actions.
	Name  string
	Roles Role
}

// May reports whether the user has all roles of need.
func (u User) May(need Role) bool { return u.Roles&need == need }

// Errors of Options.Authorize.
var (
	// ErrUnauthenticated means that the request has no valid credentials. The browser asks for a name and a password.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrTooManyFailures means that too many logins from this address have failed within a minute.
	ErrTooManyFailures = errors.New("too many failed logins from this address, wait a minute")
)
