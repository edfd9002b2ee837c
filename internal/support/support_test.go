package support

import (
	"strings"
	"testing"
)

func TestASeriesIsOutdatedAfterItsEndAndAnUnknownOneIsSaidToBeUnknown(t *testing.T) {
	now := day(2026, 6, 1)
	for _, c := range []struct{ name, version, outdated, note string }{
		{"PostgreSQL", "13.23", "ended on 2025-11-13", ""},
		{"PostgreSQL", "15.14 (Debian 15.14-0+deb12u1)", "", ""},
		{"PostgreSQL", "9.6.24", "receives no more fixes", ""},
		{"PostgreSQL", "19beta1", "", "cannot determine until when PostgreSQL 19 is supported"},
		{"PostgreSQL", "devel", "", "cannot determine"},
		{"MariaDB", "10.11.14-MariaDB-0+deb12u2", "", ""},
		{"MariaDB", "10.3.39-MariaDB", "receives no more fixes", ""},
		{"MariaDB", "12.3.1-MariaDB", "", "cannot determine until when MariaDB 12.3"},
		{"MySQL", "8.0.45", "ended on 2026-04-30", ""},
		{"MySQL", "9.7.0", "", "cannot determine until when MySQL 9.7"},
		{"RabbitMQ", "3.8.34", "receives no more fixes", ""},
		{"RabbitMQ", "3.13.7", "ended on 2024-09-17", ""},
		{"RabbitMQ", "4.0.5", "ended on 2025-04-15", ""},
		{"RabbitMQ", "4.2.5", "", ""},
		{"RabbitMQ", "4.3.6", "", "cannot determine until when RabbitMQ 4.3"},
		{"LavinMQ", "2.0.0", "", "cannot determine"},
	} {
		outdated, note := Look(c.name, c.version, now)
		if !strings.Contains(outdated, c.outdated) || (outdated == "") != (c.outdated == "") || !strings.Contains(note, c.note) || (note == "") != (c.note == "") {
			t.Errorf("%s %s: %q and %q, want %q and %q", c.name, c.version, outdated, note, c.outdated, c.note)
		}
	}
	if outdated, _ := Look("RabbitMQ", "4.1.0", day(2025, 12, 31)); outdated != "" {
		t.Errorf("a series before its end: %q", outdated)
	}
}
