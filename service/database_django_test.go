package service

import (
	"testing"

	"github.com/parley-go/parley/service/settings"
)

func TestTheInboxBesideTheOutboxOfADjangoServiceSharesTransactionsWithFailedDeliveries(t *testing.T) {
	for kind, url := range databases(t) {
		s := open(t, &settings.Settings{Database: settings.Database{URL: url, Table: DjangoTable}}, nil)
		if !s.db.Failures().SharesTx(s.db) {
			t.Errorf("%s: inbox and failed deliveries do not share transactions", kind)
		}
	}
}
