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
	Owner string    `json:"owner"`
	Until time.Time `json:"until"`
	// Length is the duration of the lease; 0 in files of an older version.
	Length  time.Duration `json:"length,omitempty"`
	Ordered bool          `json:"ordered"`
	Rows    []int64       `json:"rows"`
}

func (s *DjangoStore) leaseFile() string { return s.base.file + "-parley-relay" }

// leases returns the current leases. The caller has the write lock, which serializes all
// access to the file.
func (s *DjangoStore) leases() ([]lease, error) {
	text, err := os.ReadFile(s.leaseFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the relays' leases: %w", err)
	}
	return parseLeases(text, time.Now()), nil
}

// parseLeases returns the valid leases. One that ends later than twice its length from
// now was written while the clock was ahead, so it is invalid. Unreadable text was not
// written by a relay, because the file is replaced as a whole: it contains no leases.
func parseLeases(text []byte, now time.Time) []lease {
	var all []lease
	if json.Unmarshal(text, &all) != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(l lease) bool {
		return !now.Before(l.Until) || l.Length > 0 && l.Until.After(now.Add(2*l.Length))
	})
}

// writeLeases replaces the file. It does not sync: after a power failure no relay is running.
func (s *DjangoStore) writeLeases(leases []lease) error {
	text, err := json.Marshal(leases)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(s.base.file); err == nil {
		mode = info.Mode().Perm() // accounts with access to the database need access to this file
	}
	next := s.leaseFile() + "-new"
	if err := errors.Join(os.WriteFile(next, text, mode), os.Rename(next, s.leaseFile())); err != nil {
		return fmt.Errorf("write the relays' leases: %w", err)
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

// heldByRelays returns the held rows for Cancel and Reschedule, which have the write lock.
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
