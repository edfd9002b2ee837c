//go:build !race

package benchmarks_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-go/parley/internal/jsonkeys"
)

const snakeDocument = `{"id":77120,"user_name":"Jane Miller","email_address":"jane.miller@example.org","is_active":true,` +
	`"created_at":"2023-06-02T10:58:58.340174Z","balance_amount":"1204.50","home_address":{"street_name":"Long Lane 12",` +
	`"postal_code":"20095","city":"Hamburg","country_code":"DE"},"roles":["admin","editor"],"last_order_id":991827}`

// BenchmarkKeys converts the keys of a document from snake_case to camelCase, against encoding/json
// decoding the same document into a map and encoding it again, without changing a key.
func BenchmarkKeys(b *testing.B) {
	for _, copies := range []int{1, 300} {
		doc := []byte(`[` + strings.Repeat(snakeDocument+",", copies-1) + snakeDocument + `]`)
		n := 30_000 / copies
		b.Run(fmt.Sprintf("bytes=%d", len(doc)), func(b *testing.B) {
			for range b.N {
				compare(b,
					side{"encoding/json", func(b *testing.B) int {
						timed(func() {
							for range n {
								var v any
								if err := json.Unmarshal(doc, &v); err != nil {
									b.Fatal(err)
								}
								if _, err := json.Marshal(v); err != nil {
									b.Fatal(err)
								}
							}
						})
						return n
					}},
					side{"jsonkeys", func(b *testing.B) int {
						timed(func() {
							for range n {
								if _, err := jsonkeys.Camelize(nil, doc, nil, jsonkeys.Limits{}); err != nil {
									b.Fatal(err)
								}
							}
						})
						return n
					}})
			}
		})
	}
}
