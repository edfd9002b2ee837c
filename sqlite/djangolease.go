package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A lease says which rows of Django's table a relay holds.
type lease struct {
	Owner   string    `json:"owner"`
	Until   time.Time `json:"until"`
	Ordered bool      `json:"ordered"`
	Rows    []int64   `json:"rows"`
}

func (s *DjangoStore) leaseFile() string { return s.base.file + "-parley-relay" }

// leases reads what relays hold now. The caller has the write lock, which keeps all
// readers and writers of the file apart.
func (s *DjangoStore) leases() ([]lease, error) {
	text, err := os.ReadFile(s.leaseFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what relays hold: %w", err)
	}
	return parseLeases(text, time.Now()), nil
}

// parseLeases returns the leases that have not run out. What cannot be read was not
// written by a relay, as a file replaces the one before as a whole: nobody holds by it.
func parseLeases(text []byte, now time.Time) []lease {
	var all []lease
	if json.Unmarshal(text, &all) != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(l lease) bool { return !now.Before(l.Until) })
}

// writeLeases replaces the file. Nothing is synced: after a power failure no relay runs.
func (s *DjangoStore) writeLeases(leases []lease) error {
	text, err := json.Marshal(leases)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(s.base.file); err == nil {
		mode = info.Mode().Perm() // whoever may use the database may use this file
	}
	next := s.leaseFile() + "-new"
	if err := errors.Join(os.WriteFile(next, text, mode), os.Rename(next, s.leaseFile())); err != nil {
		return fmt.Errorf("write what relays hold: %w", err)
	}
	return nil
}

func (s *DjangoStore) dropLease(owner string) error {
	leases, err := s.leases()
	if err != nil {
		return err
	}
	return s.writeLeases(slices.DeleteFunc(leases, func(l lease) bool { return l.Owner == owner }))
}

// heldByRelays is for Cancel and Reschedule, which have the write lock then.
func (s *DjangoStore) heldByRelays() (map[int64]bool, error) {
	leases, err := s.leases()
	held := map[int64]bool{}
	for _, l := range leases {
		for _, id := range l.Rows {
			held[id] = true
		}
	}
	return held, err
}
