package jsonkeys

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const eventPayload = `{"id":77120,"userName":"Jane Miller","emailAddress":"jane.miller@example.org","isActive":true,` +
	`"createdAt":"2023-06-02T10:58:58.340174Z","balanceAmount":"1204.50","homeAddress":{"streetName":"Long Lane 12",` +
	`"postalCode":"20095","city":"Hamburg","countryCode":"DE"},"roles":["admin","editor"],"lastOrderId":991827}`

type benchUser struct {
	ID            int64
	UserName      string
	EmailAddress  string
	IsActive      bool
	CreatedAt     string
	BalanceAmount string
	HomeAddress   struct{ StreetName, PostalCode, City, CountryCode string }
	Roles         []string
	LastOrderID   int64
}

type benchUsers struct{ Items []benchUser }

// eachDocument runs f on a payload of 300 bytes and on a document of 100 kB.
func eachDocument(b *testing.B, snake bool, f func(dst, src []byte, large bool) ([]byte, error)) {
	small := eventPayload
	large := `{"items":[` + strings.Repeat(small+",", 100_000/len(small)) + small + `]}`
	for name, doc := range map[string]string{"300B": small, "100kB": large} {
		src := []byte(doc)
		if snake {
			src, _ = Underscoreize(nil, src, nil, Limits{})
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			dst := make([]byte, 0, 2*len(src))
			for b.Loop() {
				if _, err := f(dst, src, name == "100kB"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCamelize(b *testing.B) {
	eachDocument(b, true, func(dst, src []byte, _ bool) ([]byte, error) { return Camelize(dst, src, nil, Limits{}) })
}

func BenchmarkCamelizeUnchanged(b *testing.B) {
	eachDocument(b, false, func(dst, src []byte, _ bool) ([]byte, error) { return Camelize(dst, src, nil, Limits{}) })
}

func BenchmarkUnderscoreize(b *testing.B) {
	eachDocument(b, false, func(dst, src []byte, _ bool) ([]byte, error) { return Underscoreize(dst, src, nil, Limits{}) })
}

func BenchmarkFromWire(b *testing.B) {
	small, whole := ShapeOf(reflect.TypeFor[benchUser]()), ShapeOf(reflect.TypeFor[benchUsers]())
	eachDocument(b, false, func(dst, src []byte, large bool) ([]byte, error) {
		if large {
			return whole.FromWire(dst, src, Limits{})
		}
		return small.FromWire(dst, src, Limits{})
	})
}

func BenchmarkValid(b *testing.B) {
	eachDocument(b, false, func(_, src []byte, _ bool) ([]byte, error) { return nil, Valid(src, Limits{}) })
}

func BenchmarkMembers(b *testing.B) {
	eachDocument(b, false, func(_, src []byte, _ bool) ([]byte, error) {
		return nil, Members(src, Limits{}, func(string, []byte) error { return nil })
	})
}

func BenchmarkEncodingJSONCompact(b *testing.B) {
	var buf bytes.Buffer
	eachDocument(b, false, func(_, src []byte, _ bool) ([]byte, error) {
		buf.Reset()
		return nil, json.Compact(&buf, src)
	})
}

func BenchmarkEncodingJSONValid(b *testing.B) {
	eachDocument(b, false, func(_, src []byte, _ bool) ([]byte, error) {
		if !json.Valid(src) {
			b.Fatal("invalid")
		}
		return nil, nil
	})
}
