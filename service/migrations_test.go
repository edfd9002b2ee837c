package service

import (
	"strings"
	"testing"

	"github.com/parley-go/parley/service/settings"
)

func TestEachKindOfDatabaseHasItsMigrationsAndOthersAreRefusedByName(t *testing.T) {
	for scheme, want := range map[string]string{"postgres": "parley_outbox", "mysql": "ENGINE", "mariadb": "ENGINE", "sqlite": "parley_outbox"} {
		if text, err := MigrationSQL(scheme, &settings.Settings{}); err != nil || !strings.Contains(text, want) {
			t.Errorf("%s: %d bytes (%v), want statements with %s", scheme, len(text), err, want)
		}
	}
	for scheme, want := range map[string]string{"memory": "no tables", "oracle": `no migrations for "oracle" (use postgres, mysql or sqlite)`} {
		if _, err := MigrationSQL(scheme, &settings.Settings{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %q", scheme, err, want)
		}
	}
}
