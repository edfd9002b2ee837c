package parley_test

import (
	"testing"
	"time"

	"github.com/parley-go/parley"
)

type benchOrder struct {
	OrderID   int64     `json:"order_id"`
	UserName  string    `json:"user_name"`
	Email     string    `json:"email_address"`
	CreatedAt time.Time `json:"created_at"`
	Address   struct {
		Street     string `json:"street_name"`
		PostalCode string `json:"postal_code"`
		City       string `json:"city"`
	} `json:"home_address"`
	Roles []string `json:"roles"`
}

// BenchmarkRecord encodes one event of a typed payload, one with a map, and one whose map has ids as keys.
func BenchmarkRecord(b *testing.B) {
	order := benchOrder{OrderID: 77120, UserName: "Jane Miller", Email: "jane.miller@example.org", Roles: []string{"admin", "editor"}}
	data := map[string]any{"order_id": 77120, "user_name": "Jane Miller", "city": "Hamburg", "roles": []string{"admin"}}
	ids := map[string]int{"9e3f4a89-11aa-4bbb-8ccc-0123456789ab": 1, "EUR": 2, "SKU_12": 3, "sku12": 4}
	b.Run("struct", func(b *testing.B) { record(b, order) })
	b.Run("map", func(b *testing.B) { record(b, data) })
	b.Run("ids", func(b *testing.B) { record(b, ids) })
}

func record[T any](b *testing.B, payload T) {
	e := parley.NewEvent[T]("order", "paid")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Record(payload); err != nil {
			b.Fatal(err)
		}
	}
}
